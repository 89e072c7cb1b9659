//! Ranks as threads, and what they come to.

use resnetc_runtime::ranks::{Collective, local};
use resnetc_runtime::weights::ParamStore;

/// What each of so many ranks makes of its ways to the others.
///
/// # Panics
/// Where one of them does.
pub fn on_ranks<T: Send>(count: usize, work: impl Fn(Collective) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let ranks = local(count).into_iter().map(|transport| {
            let work = &work;
            scope.spawn(move || work(Collective::new(transport, Default::default()).expect("a thread")))
        });
        let ranks: Vec<_> = ranks.collect();
        ranks.into_iter().map(|rank| rank.join().expect("a rank")).collect()
    })
}

/// The largest difference between two tensors, over the largest element of the first.
///
/// # Panics
/// Where they are of different networks.
pub fn difference(a: &ParamStore, b: &ParamStore) -> f32 {
    let of = |(name, tensor): (&str, &resnetc_runtime::weights::Tensor)| {
        let other = &b.get(name).expect("the same network").data;
        let largest = tensor.data.iter().fold(f32::MIN_POSITIVE, |most, x| most.max(x.abs()));
        tensor.data.iter().zip(other).fold(0.0f32, |most, (x, y)| most.max((x - y).abs())) / largest
    };
    a.iter().map(of).fold(0.0, f32::max)
}

/// Bits of all tensors.
pub fn bits(store: &ParamStore) -> Vec<Vec<u32>> {
    store.iter().map(|(_, tensor)| tensor.data.iter().map(|x| x.to_bits()).collect()).collect()
}
