//! Whether the network is what its spec expects it to be.

use crate::diagnostic::Diagnostic;
use crate::report::Summary;
use crate::source::Spanned;
use crate::spec::ResolvedSpec;
use crate::spec::digits::grouped;

/// What of the spec's `expect:` does not hold, each with the figure found.
pub fn check_expect(spec: &ResolvedSpec, summary: &Summary) -> Vec<Diagnostic> {
    let mut faults = Vec::new();
    let mut number = |what: &str, expected: &Option<Spanned<u64>>, found: u64| {
        let Some(expected) = expected.as_ref().filter(|e| e.value != found) else { return };
        let more = if found > expected.value { "more" } else { "fewer" };
        let difference = grouped(found.abs_diff(expected.value));
        let fault = Diagnostic::error(
            format!("the network has {} {what}", grouped(found)),
            expected.span,
            format!("{difference} {more} than expected here"),
        );
        faults.push(fault.help("correct the network, or what is expected of it"));
    };
    number("parameters", &spec.expect.params, summary.params);
    number("multiply-accumulates", &spec.expect.macs, summary.macs);
    let found = summary.output_shape.get(1..).unwrap_or_default();
    if let Some(expected) = spec.expect.output.as_ref().filter(|e| e.value != found) {
        let fault = format!("the network's output for one image is {found:?}");
        let label = format!("{:?} is expected here", expected.value);
        let fault = Diagnostic::error(fault, expected.span, label);
        faults.push(fault.help("correct the network, or what is expected of it"));
    }
    faults
}
