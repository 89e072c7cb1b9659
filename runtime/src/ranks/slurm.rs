//! Where the ranks of a step of Slurm's meet without MPI: on the step's first host, which has rank 0, at a port that follows from the
//! step's numbers, so that steps which share a host seldom meet at one.

/// Ports below those that Linux gives to connections (32768).
const PORTS: std::ops::Range<u64> = 20_000..32_000;
/// Steps of a job that have ports of their own.
const STEPS: u64 = 16;

/// Host and port, by the variables of a step that has this rank and size; none where another launcher has made more ranks of its tasks, or fewer.
pub(super) fn meeting_place(
    variable: &dyn Fn(&str) -> Option<String>,
    [rank, size]: [usize; 2],
) -> Option<(String, u16)> {
    let number = |name: &str| variable(name)?.trim().parse::<u64>().ok();
    let is_ours = [("SLURM_PROCID", rank), ("SLURM_STEP_NUM_TASKS", size)];
    if is_ours.into_iter().any(|(name, expected)| number(name) != Some(expected as u64)) {
        return None;
    }
    let host = first_host(&variable("SLURM_STEP_NODELIST")?)?;
    let (job, step) = (number("SLURM_JOB_ID")?, number("SLURM_STEP_ID")?);
    let port = PORTS.start + (job.wrapping_mul(STEPS).wrapping_add(step)) % (PORTS.end - PORTS.start);
    Some((host, u16::try_from(port).ok()?))
}

/// The first of `rack[1-2]n[01-04,07],login`: `rack1n01`.
fn first_host(list: &str) -> Option<String> {
    let (mut host, mut rest) = (String::new(), list.trim());
    loop {
        let end = rest.find(['[', ',']).unwrap_or(rest.len());
        host.push_str(&rest[..end]);
        let Some(inside) = rest[end..].strip_prefix('[') else { break };
        let (numbers, behind) = inside.split_once(']')?;
        host.push_str(numbers.split([',', '-']).next()?);
        rest = behind;
    }
    Some(host).filter(|host| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_host_of_a_list_is_found() {
        for (list, first) in [
            ("vm", Some("vm")),
            ("node3,node7", Some("node3")),
            ("node[07-09,12]", Some("node07")),
            ("node[3,5]", Some("node3")),
            ("rack[1-2]n[01-04],login", Some("rack1n01")),
            ("gpu[8-9]-ib,vm", Some("gpu8-ib")),
            ("", None),
            ("node[1", None),
        ] {
            assert_eq!(first_host(list).as_deref(), first, "{list}");
        }
    }

    #[test]
    fn steps_have_places_of_their_own_and_all_their_ranks_the_same() {
        let at = |rank: usize, job: u64, step: &str| {
            let step = step.to_owned();
            let of = move |name: &str| match name {
                "SLURM_PROCID" => Some(rank.to_string()),
                "SLURM_STEP_NUM_TASKS" => Some("2".to_owned()),
                "SLURM_STEP_NODELIST" => Some("node[1-2]".to_owned()),
                "SLURM_JOB_ID" => Some(job.to_string()),
                "SLURM_STEP_ID" => Some(step.clone()),
                _ => None,
            };
            meeting_place(&of, [rank, 2])
        };
        let first = at(0, 7, "0").expect("a place");
        assert_eq!(first, ("node1".to_owned(), 20_112));
        assert_eq!(at(1, 7, "0"), Some(first.clone()));
        assert_ne!(at(0, 7, "1"), Some(first.clone()));
        assert_ne!(at(0, 8, "0"), Some(first));
        // Interactive steps have a number that is none of a step's: any port serves.
        assert!(at(0, 4_294_967_294, "4294967290").is_some_and(|(_, port)| (20_000..32_000).contains(&port)));
        assert_eq!(at(0, 7, "batch"), None);
    }
}
