//! What moves bytes between ranks that an MPI started.
//!
//! MPI moves the bytes of a large message while it is asked, which takes the core that computes. Within a host that is a copy, and
//! there are networks whose cards do it all. Between other hosts connections of our own are better: the kernel moves their bytes.

use std::path::Path;

use super::control::Carrier;
use super::transport::Transport;
use crate::error::Result;

/// Where Linux lists cards that move bytes by themselves: InfiniBand, RoCE, Omni-Path and EFA; Slingshot.
const FABRICS: [&str; 2] = ["/sys/class/infiniband", "/sys/class/cxi"];

/// Whether connections of our own carry the bytes: the same answer on all ranks. `neighbours` are the ranks of this host, itself among
/// them.
///
/// # Errors
/// Those of the transport, by which the ranks tell each other what they see.
pub(super) fn is_tcp(transport: &mut dyn Transport, carrier: Carrier, neighbours: usize) -> Result<bool> {
    let (alone, fabric) = (neighbours == transport.size(), FABRICS.into_iter().any(has_entries));
    let mut seen = vec![[0, 0]; transport.size()];
    transport.all_gather(&[u8::from(alone), u8::from(fabric)], seen.as_flattened_mut())?;
    let all = |flag: usize| seen.iter().all(|flags| flags[flag] == 1);
    Ok(match carrier {
        Carrier::Auto => !all(0) && !all(1),
        Carrier::Mpi => false,
        Carrier::Tcp => true,
    })
}

fn has_entries(folder: &str) -> bool {
    Path::new(folder).read_dir().is_ok_and(|mut entries| entries.next().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ranks::local::local;

    /// What each of so many ranks with `neighbours` answers.
    fn answers(carrier: Carrier, neighbours: &[usize]) -> Vec<bool> {
        std::thread::scope(|scope| {
            let ranks = local(neighbours.len()).into_iter().zip(neighbours);
            let ask = |(mut rank, &neighbours): (Box<dyn Transport>, &usize)| {
                scope.spawn(move || is_tcp(&mut *rank, carrier, neighbours).expect("all answer"))
            };
            let asked: Vec<_> = ranks.map(ask).collect();
            asked.into_iter().map(|rank| rank.join().expect("a rank")).collect()
        })
    }

    #[test]
    fn all_ranks_have_one_answer() {
        let fabric = FABRICS.into_iter().any(has_entries);
        assert_eq!(answers(Carrier::Auto, &[3, 3, 3]), [false; 3], "one host");
        assert_eq!(answers(Carrier::Auto, &[2, 2, 1]), [!fabric; 3], "two hosts");
        assert_eq!(answers(Carrier::Mpi, &[1, 1]), [false; 2]);
        assert_eq!(answers(Carrier::Tcp, &[2, 2]), [true; 2]);
    }
}
