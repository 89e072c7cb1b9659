//! Who a training learns from: a spec of its own with weights of its own.

use resnetc_compiler::diagnostic::Diagnostic;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::source::Span;
use resnetc_compiler::spec::train::Distill;
use resnetc_runtime::identity::{digest, teacher as called};
use resnetc_runtime::train::{BatchExecutor, Teacher};

use crate::device::{Costs, DeviceOptions};
use crate::error::{Error, Result};
use crate::spec::{Spec, SpecOptions};
use crate::weights::{Weights, WeightsOptions};

/// The teacher that a spec names, ready for a pass over so many images; `None` where it names none. Its pixels are normalised as its own spec
/// says; where that says nothing, as those of `dataset`.
///
/// # Errors
/// Where its spec is wrong, it takes other images or has other classes than the network, its weights cannot be read or are another network's.
pub(crate) fn teacher(
    spec: &Spec,
    dataset: &str,
    images: usize,
    device: &DeviceOptions,
) -> Result<Option<Teacher>> {
    let train = &spec.resolved().train;
    let Some(distill) = &train.distill else { return Ok(None) };
    let own = open(distill, dataset)?;
    check(spec, &own)?;
    let weights =
        Weights::load(&own, &WeightsOptions::file(&distill.weights)).and_then(|found| found.store());
    let weights =
        weights.map_err(|error| Error::Teacher { teacher: own.name().to_owned(), error: Box::new(error) })?;
    let told = called(own.name(), &digest(&own.expand()?.graph.signature()), &weights);
    let (opened, backend) = (device.open(Costs::Constant)?, device.backend());
    let plan = |batch| own.plan(Mode::Infer, batch, backend);
    let network = BatchExecutor::load::<Error>(opened, images, train.batch_size, plan)?;
    let network = network.with_weights(&weights)?;
    Ok(Some(Teacher::new(network, [&train.normalize, &own.resolved().train.normalize], told)?))
}

/// Its spec. Which statistics the data have, it need not say.
fn open(distill: &Distill, dataset: &str) -> Result<Spec> {
    let plain = Spec::open(&distill.teacher, &SpecOptions::default())?;
    let keys = &plain.resolved().keys;
    if ["train.normalize", "train.dataset"].iter().any(|key| keys.get(key).is_some()) {
        return Ok(plain);
    }
    let set = SpecOptions::default().set(format!("train.dataset={dataset}"));
    Spec::open(&distill.teacher, &set)
}

/// Both take the same images, and tell the same classes apart.
fn check(spec: &Spec, teacher: &Spec) -> Result<()> {
    let (own, other) = (spec.resolved(), teacher.resolved());
    let place = |span: Span| teacher.sources().place(span).unwrap_or_else(|| teacher.name().to_owned());
    let image = |[c, h, w]: [usize; 3]| format!("[{c}, {h}, {w}]");
    let mut faults = Vec::new();
    let mut differ = |what: &str, span: Span, is: String, (at, theirs): (Span, String)| {
        let named = own.keys.nearest("train.distill.teacher").unwrap_or(Span::NONE);
        let fault = Diagnostic::error(
            format!("the teacher has other {what}: {theirs}, by {}", place(at)),
            named,
            format!("`{}` has {theirs}", teacher.name()),
        );
        faults.push(fault.label(span, is).help(format!(
            "write a spec that extends `{}` and says what this one says, or learn from another network",
            teacher.name()
        )));
    };
    if own.input.value != other.input.value {
        let theirs = (other.input.span, image(other.input.value));
        differ("images", own.input.span, image(own.input.value), theirs);
    }
    if own.classes.value != other.classes.value || other.head.layers.is_none() {
        let count = |classes: usize| format!("{classes} classes");
        let theirs = match other.head.layers {
            Some(_) => (other.classes.span, count(other.classes.value)),
            None => (other.head.span, "no head".to_owned()),
        };
        differ("classes", own.classes.span, count(own.classes.value), theirs);
    }
    if faults.is_empty() { Ok(()) } else { Err(spec.faults(faults)) }
}
