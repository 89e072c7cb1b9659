//! Ways of doing a job: what cuDNN's heuristics offer, without what the rules forbid.

use std::sync::Arc;

use cudarc::cudnn::sys::cudnnBackendHeurMode_t as Mode;

use super::build::operation_graph;
use super::descriptor::{Attribute as A, Descriptor, Kind, Type, Value};
use super::engine::{Engine, Rules};
use super::fault::{Fault, Result};
use super::graph::Graph;
use super::job::Job;
use super::legacy;
use super::plan::Plan;
use super::target::Target;

/// A way, not yet a plan: to make one may take seconds.
#[derive(Debug)]
pub struct Candidate {
    /// Which engine.
    pub engine: Engine,
    how: How,
    job: Job,
    /// Tensors that memory is bound to.
    roles: Vec<i64>,
    workspace: u64,
}

#[derive(Debug)]
enum How {
    Config(Arc<Descriptor>),
    Legacy(legacy::Algorithm),
}

/// All that was offered for a job.
#[derive(Debug, Default)]
pub struct Offer {
    /// Those that may be taken, the heuristics' best first.
    pub candidates: Vec<Candidate>,
    /// What mode A of the heuristics offered, and the fallback.
    pub offered: [usize; 2],
    /// Engines that the rules forbid, and why.
    pub dropped: Vec<(Engine, &'static str)>,
    /// What cuDNN answered where it offers nothing.
    pub reason: Option<Fault>,
}

/// What cuDNN offers for a job: engines of the graph API, and where none is left and the GPU is at hand, the older calls'
/// algorithms.
///
/// # Errors
/// Where cuDNN fails; that it offers nothing is no error.
pub fn candidates(target: &Target<'_>, job: &Job, rules: &Rules) -> Result<Offer> {
    let graph = Graph::of(job)?;
    let mut search = Search { job, rules, roles: graph.roles(), offer: Offer::default() };
    match operation_graph(&graph, target.raw_handle()) {
        Ok(operations) => {
            for (index, mode) in MODES.into_iter().enumerate() {
                match configurations(target, &operations, mode) {
                    Ok(configs) => search.take(index, configs)?,
                    Err(fault) if fault.is_unsupported() => search.offer.reason = Some(fault),
                    Err(fault) => return Err(fault),
                }
            }
        }
        Err(fault) if fault.is_unsupported() => search.offer.reason = Some(fault),
        Err(fault) => return Err(fault),
    }
    if let (true, Some(handle), Job::Convolution(work)) =
        (search.offer.candidates.is_empty(), target.handle(), job)
    {
        for algorithm in legacy::algorithms(handle, work)? {
            search.judge(algorithm.engine(), How::Legacy(algorithm));
        }
    }
    Ok(search.offer)
}

/// The modes of the heuristics that are asked, in this order.
const MODES: [Mode; 2] = [Mode::CUDNN_HEUR_MODE_A, Mode::CUDNN_HEUR_MODE_FALLBACK];

struct Search<'a> {
    job: &'a Job,
    rules: &'a Rules,
    roles: Vec<i64>,
    offer: Offer,
}

impl Search<'_> {
    fn take(&mut self, mode: usize, configs: Vec<Arc<Descriptor>>) -> Result<()> {
        self.offer.offered[mode] = configs.len();
        for config in configs {
            self.judge(Engine::of(&config)?, How::Config(config));
        }
        Ok(())
    }

    /// Takes a way that the rules allow, once: the fallback repeats some.
    fn judge(&mut self, engine: Engine, how: How) {
        if let Some(reason) = engine.objection(self.job, self.rules) {
            self.offer.dropped.push((engine, reason));
        } else if self.offer.candidates.iter().all(|known| known.engine != engine) {
            let (job, roles, workspace) = (*self.job, self.roles.clone(), self.rules.workspace);
            self.offer.candidates.push(Candidate { engine, how, job, roles, workspace });
        }
    }
}

/// What one mode of the heuristics offers, the best first.
fn configurations(
    target: &Target<'_>,
    operations: &Arc<Descriptor>,
    mode: Mode,
) -> Result<Vec<Arc<Descriptor>>> {
    let mut attributes = vec![
        (A::CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, Value::Parts(std::slice::from_ref(operations))),
        (A::CUDNN_ATTR_ENGINEHEUR_MODE, Value::Code(Kind::CUDNN_TYPE_HEUR_MODE, mode as i32)),
    ];
    attributes.extend(target.heuristics());
    let heuristics = Descriptor::with(Type::CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, &attributes)?;
    heuristics.parts(A::CUDNN_ATTR_ENGINEHEUR_RESULTS, Type::CUDNN_BACKEND_ENGINECFG_DESCRIPTOR)
}

impl Candidate {
    /// The plan: a kernel that is compiled at run time is compiled now, which takes seconds.
    ///
    /// # Errors
    /// Where cuDNN makes none after all, or it needs more workspace than the rules allow.
    pub fn plan(&self, target: &Target<'_>) -> Result<Plan> {
        let plan = match &self.how {
            How::Config(config) => Plan::of_config(target, config, &self.engine, &self.roles)?,
            How::Legacy(algorithm) => Plan::of_legacy(*algorithm, &self.job, &self.roles)?,
        };
        if plan.workspace() > self.workspace {
            return Err(Fault::refused(format!(
                "{} needs {} bytes of workspace, {} are allowed",
                self.engine,
                plan.workspace(),
                self.workspace
            )));
        }
        Ok(plan)
    }
}
