//! How much memory the machine has, and how much of it a process can still have.

use std::path::Path;

use crate::files;

/// Most bytes of a file of the system.
const MOST: u64 = 1 << 16;
/// Limits and use of the group of processes that this one is in, as Linux's control groups of the second version tell them.
const GROUP: [&str; 3] =
    ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat"];

/// Bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// In all.
    pub total: usize,
    /// What a process can still have without others being pushed out.
    pub free: usize,
}

/// The machine's memory, or that of the container; `None` where the system does not tell: it does on Linux.
pub fn memory() -> Option<Memory> {
    let read = |path: &str| files::read_text(Path::new(path), MOST).ok();
    let machine = of_machine(&read("/proc/meminfo")?)?;
    let [most, used, stat] = GROUP.map(read);
    let group = || of_group(&most?, &used?, &stat.unwrap_or_default());
    Some(group().map_or(machine, |group| Memory {
        total: machine.total.min(group.total),
        free: machine.free.min(group.free),
    }))
}

/// Of `/proc/meminfo`.
fn of_machine(text: &str) -> Option<Memory> {
    let value = |key: &str| -> Option<usize> {
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()? * 1024)
    };
    Some(Memory { total: value("MemTotal:")?, free: value("MemAvailable:")? })
}

/// Of a control group; `None` where it has no limit. Pages of files that nobody uses are given back when memory is wanted.
fn of_group(most: &str, used: &str, stat: &str) -> Option<Memory> {
    let total: usize = most.trim().parse().ok()?;
    let used: usize = used.trim().parse().ok()?;
    let idle = stat.lines().find_map(|line| line.strip_prefix("inactive_file ")?.trim().parse().ok());
    let held = used.saturating_sub(idle.unwrap_or(0));
    Some(Memory { total, free: total.saturating_sub(held) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_tells_is_read() {
        let text = "MemTotal:       24000 kB\nMemFree:          100 kB\nMemAvailable:   12000 kB\n";
        assert_eq!(of_machine(text), Some(Memory { total: 24_576_000, free: 12_288_000 }));
        assert_eq!(of_machine("MemTotal: many\n"), None);
        let stat = "anon 5\ninactive_file 300\nactive_file 7\n";
        assert_eq!(of_group("1000\n", "900\n", stat), Some(Memory { total: 1000, free: 400 }));
        assert_eq!(of_group("max\n", "900\n", stat), None);
        #[cfg(target_os = "linux")]
        assert!(memory().is_some_and(|memory| memory.free <= memory.total && memory.total > 0));
    }
}
