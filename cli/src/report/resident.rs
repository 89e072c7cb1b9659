//! Memory that a process has resident, and what one that runs a plan is expected to have at most.

use resnetc_compiler::plan::Plan;
use resnetc_runtime::device::Device;

use super::units::bytes;
use crate::failure::Result;

/// Bytes besides those of a plan. Pictures, evaluation and what a communication of ranks copies are not among them.
#[derive(Debug, Clone, Copy)]
pub struct Beside {
    /// Resident before anything was loaded, where the system tells.
    pub program: Option<usize>,
    /// Of workspaces.
    pub workspaces: usize,
}

impl Beside {
    /// Beside a plan that this device is to run, in a process that takes what this one takes now: to be asked before the plan is loaded.
    ///
    /// # Errors
    /// Where the plan cannot run there.
    pub fn plan(plan: &Plan, device: &dyn Device) -> Result<Self> {
        Ok(Beside { program: now(), workspaces: device.workspace(plan)? })
    }

    /// What is expected to be resident at most: the plan, workspaces, and the program with its images.
    pub fn expected(&self, plan: &Plan) -> usize {
        plan.bytes() + self.workspaces + self.program.unwrap_or(0)
    }

    /// `213 MiB: plan 191 MiB, workspaces 12.1 MiB, program 9.8 MiB`
    pub fn text(&self, plan: &Plan) -> String {
        let program = self.program.map_or(String::new(), |program| format!(", program {}", bytes(program)));
        let [all, planned, workspaces] = [self.expected(plan), plan.bytes(), self.workspaces].map(bytes);
        format!("{all}: plan {planned}, workspaces {workspaces}{program}")
    }
}

/// Bytes resident now, where the system tells: Linux.
pub fn now() -> Option<usize> {
    status("VmRSS:")
}

/// Bytes resident at most so far, where the system tells: Linux.
pub fn peak() -> Option<usize> {
    status("VmHWM:")
}

fn status(which: &str) -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(which))?;
    let kilobytes: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}
