//! The convolutions as their definitions say, in `f64`: what the fast ones are tested against. Each result comes with the
//! sum of the absolute values of its products, which rounding errors are measured by.

use resnetc_compiler::plan::ConvGeometry;

/// A sum of products, and the sum of their absolute values.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sum {
    /// The sum.
    pub value: f64,
    /// Of the absolute values.
    pub magnitude: f64,
}

impl Sum {
    /// Adds a product.
    pub fn add(&mut self, a: f32, b: f32) {
        let product = f64::from(a) * f64::from(b);
        self.value += product;
        self.magnitude += product.abs();
    }
}

/// Calls `f` with the indices of `x`, `weight` and `y` of every product of a forward convolution.
fn products(g: &ConvGeometry, mut f: impl FnMut(usize, usize, usize)) {
    let a = &g.attrs;
    let (cin, cout) = (g.cin / a.groups, g.cout / a.groups);
    for pixel in 0..g.n * g.out[0] * g.out[1] {
        let (n, oy, ox) = (pixel / (g.out[0] * g.out[1]), pixel / g.out[1] % g.out[0], pixel % g.out[1]);
        for tap in 0..a.kernel[0] * a.kernel[1] {
            let (ky, kx) = (tap / a.kernel[1], tap % a.kernel[1]);
            let iy = (oy * a.stride[0] + ky * a.dilation[0]).checked_sub(a.padding[0]).filter(|&iy| iy < g.h);
            let ix = (ox * a.stride[1] + kx * a.dilation[1]).checked_sub(a.padding[1]).filter(|&ix| ix < g.w);
            let (Some(iy), Some(ix)) = (iy, ix) else { continue };
            for co in 0..g.cout {
                for ci in 0..cin {
                    let x = ((n * g.h + iy) * g.w + ix) * g.cin + co / cout * cin + ci;
                    f(x, (tap * cin + ci) * g.cout + co, pixel * g.cout + co);
                }
            }
        }
    }
}

/// `y`
pub fn forward(g: &ConvGeometry, x: &[f32], weight: &[f32]) -> Vec<Sum> {
    let mut y = vec![Sum::default(); g.n * g.out[0] * g.out[1] * g.cout];
    products(g, |xi, wi, yi| y[yi].add(x[xi], weight[wi]));
    y
}

/// `dx`
pub fn backward_data(g: &ConvGeometry, dy: &[f32], weight: &[f32]) -> Vec<Sum> {
    let mut dx = vec![Sum::default(); g.n * g.h * g.w * g.cin];
    products(g, |xi, wi, yi| dx[xi].add(dy[yi], weight[wi]));
    dx
}

/// `dweight`
pub fn backward_filter(g: &ConvGeometry, x: &[f32], dy: &[f32]) -> Vec<Sum> {
    let a = &g.attrs;
    let mut dw = vec![Sum::default(); a.kernel[0] * a.kernel[1] * g.cin / a.groups * g.cout];
    products(g, |xi, wi, yi| dw[wi].add(x[xi], dy[yi]));
    dw
}
