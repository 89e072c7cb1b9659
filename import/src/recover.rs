//! From layers to stages and units.

use crate::body::{self, Form};
use crate::fault::{Fault, Result};
use crate::flat::{Flat, Id, Op};
use crate::shortcut::{self, Rule, Shortcut};
use crate::spine::{self, Raw, Spine};
use crate::stages::{self, Stage};
use crate::units::{self, Kind, Unit};
use crate::words::{self, Numbers, multiple};

/// A network in the terms of specs.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) input: [usize; 3],
    pub(crate) classes: usize,
    /// The epsilon of `bn` without arguments.
    pub(crate) eps: f32,
    pub(crate) stem: String,
    pub(crate) shortcut: Option<String>,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) stages: Vec<Stage>,
    pub(crate) transition: Option<String>,
    pub(crate) head: String,
}

/// Finds the network's parts.
pub(crate) fn recover(flat: &Flat) -> Result<Recovered> {
    let eps = usual_eps(flat);
    let mut spine = spine::find(flat)?;
    let transition = transition(flat, &mut spine, eps);
    let uses = flat.uses();
    let shortcuts: Vec<Option<Shortcut>> =
        spine.units.iter().map(|raw| shortcut::find(flat, raw, &uses)).collect();
    let rules = [true, false].map(|same| {
        let of = spine.units.iter().zip(&shortcuts);
        let own = |own: &'_ Option<Shortcut>| own.as_ref().is_some_and(|own| own.same == same);
        let of = of.filter(|(_, shortcut)| own(shortcut));
        shortcut::rule(flat, of.filter_map(|(raw, own)| Some((raw, own.as_ref()?))))
    });
    let ruled: Vec<Option<&Shortcut>> = spine
        .units
        .iter()
        .zip(&shortcuts)
        .map(|(raw, own)| own.as_ref().filter(|own| is_ruled(flat, raw, own, &rules)))
        .collect();
    let pre = shared_activation(flat, &spine.units, &ruled);
    let unit = |(raw, ruled): (&Raw, &Option<&Shortcut>)| {
        let pre = ruled.map_or(0, |own| begins_with(flat, raw, own, &pre, &uses));
        let body = body::write(flat, raw, &Form { ruled: *ruled, pre }, &uses);
        Unit::new(flat, body, raw.entry, raw.join)
    };
    let all: Vec<Unit> = spine.units.iter().zip(&ruled).map(unit).collect();
    let kinds = units::kinds(flat, &all, eps);
    let starts = transition.as_ref().map(|(_, starts)| starts.as_slice());
    let shortcut = ruled.iter().any(Option::is_some).then(|| shortcut_text(&rules, eps));
    Ok(Recovered {
        input: flat.nodes[0].shape,
        classes: flat.nodes[flat.result()].shape[0],
        eps,
        stem: straight(flat, &spine.stem, eps, None)?,
        shortcut,
        stages: stages::group(&all, &kinds, starts),
        kinds,
        transition: transition.map(|(text, _)| text),
        head: head(flat, &spine, eps)?,
    })
}

/// What `bn` without arguments is: most of the normalisations.
fn usual_eps(flat: &Flat) -> f32 {
    let mut counts: Vec<(f32, usize)> = Vec::new();
    for node in &flat.nodes {
        let Op::Norm { eps } = node.op else { continue };
        match counts.iter_mut().find(|(known, _)| *known == eps) {
            Some((_, count)) => *count += 1,
            None => counts.push((eps, 1)),
        }
    }
    counts.into_iter().max_by_key(|&(_, count)| count).map_or(1e-5, |(eps, _)| eps)
}

fn is_ruled(flat: &Flat, raw: &Raw, own: &Shortcut, [same, changed]: &[Option<Rule>; 2]) -> bool {
    let rule = if own.same { same } else { changed };
    rule.as_ref().is_some_and(|rule| rule.holds(flat, raw, own))
}

/// The normalisations and activations that units which change the shape have in front of both branches.
fn shared_activation(flat: &Flat, units: &[Raw], ruled: &[Option<&Shortcut>]) -> Vec<Op> {
    let mut units = units.iter().zip(ruled);
    let changed =
        units.find(|(raw, own)| own.is_some_and(|own| !own.same) && shortcut::shares_activation(flat, raw));
    changed.map_or(Vec::new(), |(raw, _)| raw.before.iter().map(|&id| flat.nodes[id].op.clone()).collect())
}

/// How many layers of a unit's main branch are these; all or none.
fn begins_with(flat: &Flat, raw: &Raw, own: &Shortcut, wanted: &[Op], uses: &[usize]) -> usize {
    let is = |i: usize| {
        let id = raw.fork + 1 + i;
        let sole = i + 1 == wanted.len() || uses[id] == 1;
        sole && flat.nodes[id].inputs == [id - 1] && flat.nodes[id].op == wanted[i]
    };
    let fits = own.same && own.layers.is_empty() && raw.fork == raw.entry;
    let room = raw.fork + wanted.len() < raw.join;
    if fits && room && (0..wanted.len()).all(is) { wanted.len() } else { 0 }
}

/// Layers between stages, where all have the same, and the units that begin a stage then. They are taken from the units.
fn transition(flat: &Flat, spine: &mut Spine, eps: f32) -> Option<(String, Vec<usize>)> {
    let heavy = |raw: &Raw| raw.before.iter().any(|&id| !spine::is_light(&flat.nodes[id].op));
    let starts: Vec<usize> = (1..spine.units.len()).filter(|&index| heavy(&spine.units[index])).collect();
    let text = |&index: &usize| {
        let before = &spine.units[index].before;
        straight(flat, before, eps, Some(flat.nodes[spine.units[index].entry].shape[0])).ok()
    };
    let mut texts = starts.iter().map(text);
    let first = texts.next()??;
    if !texts.all(|text| text.as_ref() == Some(&first)) {
        return None;
    }
    for &index in &starts {
        let raw = &mut spine.units[index];
        raw.before.clear();
        raw.entry = raw.fork;
    }
    Some((first, starts))
}

/// Layers after one another. With the channels that they read, numbers are multiples of those.
fn straight(flat: &Flat, layers: &[Id], eps: f32, channels: Option<usize>) -> Result<String> {
    let text = |&id: &Id| {
        let node = &flat.nodes[id];
        if !words::is_layer(&node.op) {
            return Err(Fault::new(&node.place, "branches stand outside of units, which specs cannot say"));
        }
        let mut numbers = Numbers::of(&node.op);
        if let Some((out, channels)) = words::out(&node.op).zip(channels) {
            numbers.out = multiple(out, channels, "channels").unwrap_or(numbers.out);
        }
        Ok(words::layer(&node.op, &numbers, eps))
    };
    Ok(layers.iter().map(text).collect::<Result<Vec<_>>>()?.join(" -> "))
}

fn head(flat: &Flat, spine: &Spine, eps: f32) -> Result<String> {
    let last = flat.result();
    let place = &flat.nodes[last].place;
    if flat.nodes[last].shape[1..] != [1, 1] {
        let [c, h, w] = flat.nodes[last].shape;
        let message =
            format!("the network ends in a map of {c} x {h} x {w}, not in one number for each class");
        return Err(Fault::new(place, message).help("only classifiers can be imported"));
    }
    let Some((&end, rest)) = spine.head.split_last() else {
        return Err(Fault::new(place, "the network ends in a unit: it has no layer of classes"));
    };
    let mut text = straight(flat, rest, eps, None)?;
    let mut numbers = Numbers::of(&flat.nodes[end].op);
    numbers.out = "classes".to_owned();
    let word = words::layer(&flat.nodes[end].op, &numbers, eps);
    text += if text.is_empty() { "" } else { " -> " };
    text += &word;
    Ok(if matches!(flat.nodes[end].op, Op::Linear { .. }) { text } else { text + " -> flatten" })
}

/// The value of the key `shortcut`.
fn shortcut_text(rules: &[Option<Rule>; 2], eps: f32) -> String {
    let [same, changed] = rules.each_ref().map(|rule| rule.as_ref().map(|rule| rule.text(eps)));
    let same = same.map(|same| if same == "projection" { "always_project".to_owned() } else { same });
    match (same.as_deref(), changed.as_deref()) {
        (Some("identity") | None, Some(word @ ("projection" | "pad"))) => word.to_owned(),
        (Some("always_project"), Some("projection") | None) => "always_project".to_owned(),
        (Some("identity") | None, None) => "identity".to_owned(),
        (same, changed) => {
            let text = |text: Option<&str>| text.map_or("identity".to_owned(), quoted);
            format!("{{same: {}, changed: {}}}", text(same), text(changed))
        }
    }
}

/// Text of a flow map: in quotes where commas or brackets stand in it.
fn quoted(text: &str) -> String {
    if text.contains([',', ' ', '(']) { format!("\"{text}\"") } else { text.to_owned() }
}
