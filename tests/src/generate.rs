//! Random residual networks as spec texts: stems, units of the unit language, shortcut rules, strides, groups, heads.

use crate::rng::Rng;

/// A small network's spec.
pub fn spec(r: &mut Rng) -> String {
    let activation = r.pick(&["relu", "leaky_relu(0.1)", "relu", "silu", "gelu", "tanh"]);
    let first = 4 * r.range(1, 3);
    let stem = match r.range(0, 2) {
        0 => format!("conv3x3({first}) -> bn -> {activation}"),
        1 => format!("conv7x7({first}, stride=2) -> bn -> {activation} -> maxpool3x3(stride=2)"),
        _ => format!("conv3x3({first}, stride=2) -> bn -> {activation}"),
    };
    let mut stages = String::new();
    for stage in 0..r.range(1, 3) {
        let stride = if stage > 0 { r.range(1, 2) } else { 1 };
        let depth = r.range(1, 2);
        stages += &format!("  - {{depth: {depth}, filters: {}, stride: {stride}}}\n", first << stage);
    }
    let shortcut = r.pick(&["pad", "projection", "always_project"]);
    let size = r.range(9, 16);
    format!(
        "name: random\ninput: [3, {size}, {size}]\nclasses: {}\nstem: {stem}\nunits:\n{}unit: own\n\
         norm: {}\nshortcut: {shortcut}\nstages:\n{stages}head: global_avgpool -> linear(classes)\n",
        r.range(2, 11),
        unit(r, activation),
        r.pick(&["bn", "bn", "group_norm(4)", "group_norm(groups=1)"]),
    )
}

/// How a unit's branches meet: added, scaled, gated by one factor per channel or per element, side by side.
fn gated(r: &mut Rng, wide: bool) -> (String, &'static str) {
    let f = if wide { "2 * f" } else { "f" };
    let squeeze = format!("    gate = main -> global_avgpool -> conv1x1({f}, bias) -> sigmoid\n");
    let full = format!("    gate = main -> conv1x1({f}, bias) -> sigmoid\n");
    let more = "    more = main -> conv1x1(4)\n".to_owned();
    match r.range(0, 9) {
        0 => (squeeze, "main * gate + shortcut"),
        1 => (squeeze, "gate * main - shortcut"),
        2 => (full, "main * gate + shortcut * (1 - gate)"),
        3 => (String::new(), "0.5 * main + shortcut / 2"),
        4 => (more, "concat(main, more)"),
        5 => (more, "concat(x -> conv3x3(4, stride), more, main) -> bn"),
        _ => (String::new(), "main + shortcut"),
    }
}

/// A basic or bottleneck unit with a random order of layers and random groups.
fn unit(r: &mut Rng, activation: &str) -> String {
    let groups = r.pick(&[1, 1, 2, 4]);
    let main = match r.range(0, 2) {
        0 => format!("x -> conv3x3(f, stride) -> bn -> {activation} -> conv3x3(f, groups={groups}) -> bn"),
        1 => format!(
            "x -> conv1x1(f) -> bn -> {activation} -> conv3x3(f, stride, groups={groups}) -> bn -> {activation} \
             -> conv1x1(2 * f) -> bn"
        ),
        _ => {
            format!("x -> bn -> {activation} -> conv3x3(f, stride, bias) -> bn -> {activation} -> conv3x3(f)")
        }
    };
    let drop = r.pick(&["", "", " -> dropout(0.2)", " -> drop_path(0.3)", " -> drop_block(0.1, 3)"]);
    let main = main + drop;
    let last = if r.flip() { format!(" -> {activation}") } else { String::new() };
    let (gate, sum) = gated(r, main.contains("2 * f"));
    format!("  own(f, stride):\n    main = {main}\n{gate}    out = {sum}{last}\n")
}
