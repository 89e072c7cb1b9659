//! What became of a node, as text.

use std::fmt::Write;

use resnetc_compiler::explain::{Event, Trace, Traced};
use resnetc_compiler::ir::op::Op;
use resnetc_compiler::ir::origin::Part;
use resnetc_compiler::pass::PassId;
use resnetc_compiler::plan::BufferId;
use resnetc_compiler::source::{SourceMap, Span};
use resnetc_compiler::spec::ResolvedSpec;

use super::table::{Align, Table};
use super::units::{bytes, grouped, si};

/// A compilation that was watched, and the texts that it came from.
pub struct Explainer<'e> {
    /// What happened.
    pub trace: &'e Trace,
    /// What was asked for.
    pub spec: &'e ResolvedSpec,
    /// Its texts.
    pub sources: &'e SourceMap,
    /// Columns of the terminal, if it goes to one.
    pub width: Option<usize>,
}

impl Explainer<'_> {
    /// Explains a node or a part of the network; none where there is neither.
    pub fn text(&self, name: &str) -> Option<String> {
        let name = name.trim_end_matches('.');
        match self.trace.node(name) {
            Some(node) => Some(self.node(node)),
            None => self.part(name),
        }
    }

    /// All operators of a unit, the stem or the head.
    fn part(&self, name: &str) -> Option<String> {
        let nodes = self.trace.part(name);
        if nodes.is_empty() {
            return None;
        }
        let mut text = format!("{name}\n");
        self.stage(&mut text, nodes[0].part);
        let mut table = Table::new(&[
            ("node", Align::Left),
            ("operator", Align::Left),
            ("result", Align::Left),
            ("MACs", Align::Right),
            ("computed by", Align::Left),
        ]);
        for node in nodes {
            let result = node.types.first().map_or(String::new(), ToString::to_string);
            let macs = if node.cost.macs == 0 { String::new() } else { si(node.cost.macs) };
            table.row([node.name.clone(), node.op.to_string(), result, macs, self.fate(node)]);
        }
        text.push('\n');
        text += &table.within(self.width);
        let shortcut = format!("{name}.shortcut");
        let said: Vec<&Event> = self.trace.events(&shortcut).filter(|e| e.node == shortcut).collect();
        if !said.is_empty() {
            text.push('\n');
            self.events(&mut text, &said);
        }
        Some(text)
    }

    fn node(&self, node: &Traced) -> String {
        let mut text = format!("{}: {}\n", node.name, node.op);
        line(&mut text, "from", &self.quote(node.span));
        self.stage(&mut text, node.part);
        if let Some(pass) = node.added {
            line(&mut text, "added by", pass.name());
        }
        if !node.operands.is_empty() {
            line(&mut text, "operands", &node.operands.join(", "));
        }
        let types: Vec<String> = node.types.iter().map(ToString::to_string).collect();
        line(&mut text, "results", &types.join(", "));
        let [read, written] = [node.cost.read, node.cost.written].map(|n| bytes(n as usize));
        line(&mut text, "cost", &format!("{} MACs, {read} read, {written} written", grouped(node.cost.macs)));
        line(&mut text, "now", &self.fate(node));

        let events: Vec<&Event> = self.trace.events(&node.name).collect();
        if !events.is_empty() {
            text += "\npasses\n";
            self.events(&mut text, &events);
        }
        let host = self.trace.host(&node.name).unwrap_or(node);
        self.kernels(&mut text, &self.trace.steps(&host.name));
        text
    }

    /// What computes a node's result.
    fn fate(&self, node: &Traced) -> String {
        match (self.trace.host(&node.name), node.removed) {
            (Some(host), _) if host.name != node.name => format!("in `{}`", host.name),
            (_, None) => {
                let kernel = self.trace.plan.steps.iter().find(|step| step.name == node.name);
                let slices = matches!(node.op, Op::Concat(_));
                let why = if slices { ": its operands are slices of it" } else { "" };
                kernel.map_or(format!("memory, no kernel{why}"), |step| {
                    format!("kernel {}", step.kernel.name())
                })
            }
            (_, Some(pass)) => match self.trace.part(&node.name).as_slice() {
                [] => format!("nothing: removed by {pass}"),
                parts => {
                    let names: Vec<String> = parts.iter().map(|part| format!("`{}`", part.name)).collect();
                    names.join(", ")
                }
            },
        }
    }

    /// The line of the stage that a part belongs to.
    fn stage(&self, text: &mut String, part: Part) {
        let stage = part.stage().and_then(|n| self.spec.stages.get(n.checked_sub(1)?));
        if let Some(stage) = stage {
            line(text, "stage", &self.quote(stage.span));
        }
    }

    /// `resnet50.yaml:14: {depth: 3, filters: 64}`
    fn quote(&self, span: Span) -> String {
        let whole = self.sources.text(span);
        let first = whole.lines().next().unwrap_or("");
        let more = if whole.lines().nth(1).is_some() { " ..." } else { "" };
        let place = self.sources.place(span).unwrap_or_else(|| "no text".into());
        format!("{place}: {first}{more}")
    }

    fn events(&self, text: &mut String, events: &[&Event]) {
        let width = events.iter().map(|event| event.pass.name().len()).max().unwrap_or(0);
        for event in events {
            write!(text, "  {:<width$}  {}: {}", event.pass, event.node, event.sentence).expect("a string");
            // What a shortcut becomes is decided by the rule that the spec names.
            let rule = self.spec.keys.get("shortcut").filter(|_| event.pass == PassId::ExpandShortcuts);
            if let Some(place) = rule.and_then(|span| self.sources.place(span)) {
                write!(text, ", {place}").expect("a string");
            }
            text.push('\n');
        }
    }

    /// Steps of the plan, and where their operands and results lie.
    fn kernels(&self, text: &mut String, steps: &[usize]) {
        if steps.is_empty() {
            return;
        }
        let plan = &self.trace.plan;
        let mut table = Table::new(&[
            ("step", Align::Right),
            ("kernel", Align::Left),
            ("sizes", Align::Left),
            ("traffic", Align::Right),
        ]);
        let mut buffers: Vec<BufferId> = Vec::new();
        for &index in steps {
            let step = &plan.steps[index];
            let kernel = step.kernel.name().to_owned();
            table.row([index.to_string(), kernel, step.kernel.geometry(), bytes(plan.traffic(step))]);
            for &id in step.inputs.iter().chain(&step.outputs) {
                if !buffers.contains(&id) {
                    buffers.push(id);
                }
            }
        }
        *text += &format!("\n{}\n{}", table.within(self.width), self.buffers(steps, &buffers));
    }

    fn buffers(&self, steps: &[usize], buffers: &[BufferId]) -> String {
        let plan = &self.trace.plan;
        let mut table = Table::new(&[
            ("buffer", Align::Left),
            ("region", Align::Left),
            ("offset", Align::Right),
            ("bytes", Align::Right),
            ("lives in steps", Align::Left),
            ("in place of", Align::Left),
        ]);
        for &id in buffers {
            let buffer = plan.buffer(id);
            let live = buffer.live.map_or("between runs".into(), |(first, last)| format!("{first}..={last}"));
            let writer = steps.iter().find(|&&index| plan.steps[index].outputs.contains(&id));
            let below = writer.and_then(|&index| plan.overwritten(index, id));
            table.row([
                buffer.name.clone(),
                buffer.region.to_string(),
                grouped(buffer.offset as u64),
                grouped(buffer.bytes as u64),
                live,
                plan.slice_text(buffer).or_else(|| Some(below?.name.clone())).unwrap_or_default(),
            ]);
        }
        table.within(self.width)
    }
}

fn line(text: &mut String, what: &str, value: &str) {
    writeln!(text, "  {what:<10}{value}").expect("writing to a string");
}
