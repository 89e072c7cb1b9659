//! Units that are alike but for their numbers: each kind is written once, with formulas for the numbers.

use crate::body::Body;
use crate::flat::{Flat, Id, Op};
use crate::words::{self, Numbers, multiple};

/// A unit with its numbers.
#[derive(Debug)]
pub(crate) struct Unit {
    /// Its text.
    pub(crate) body: Body,
    /// Its layers.
    pub(crate) layers: Vec<Id>,
    /// What its stage calls `filters`.
    pub(crate) filters: usize,
    /// Its stride.
    pub(crate) stride: usize,
    /// Its dilation.
    pub(crate) dilation: usize,
    /// Channels of its input.
    pub(crate) channels: usize,
}

/// Units of one text.
#[derive(Debug)]
pub(crate) struct Kind {
    /// As stages name it.
    pub(crate) name: String,
    /// Of the spec's own: signature and bindings.
    pub(crate) own: Option<(String, Vec<(String, String)>)>,
    /// What its members pass to it, by name; as many as its members.
    pub(crate) args: Vec<Vec<(String, usize)>>,
    /// Indices of its units.
    pub(crate) members: Vec<usize>,
}

struct Cluster {
    key: String,
    /// Which layers take the stride, and which the dilation, where a unit has one.
    places: [Option<Vec<usize>>; 2],
    members: Vec<usize>,
}

/// Sorts units into kinds, in the order of their first members.
pub(crate) fn kinds(flat: &Flat, units: &[Unit], eps: f32) -> Vec<Kind> {
    let mut clusters: Vec<Cluster> = Vec::new();
    // Units without a stride fit several kinds: those with one come first.
    let strided = |&index: &usize| units[index].stride == 1 && units[index].dilation == 1;
    let mut order: Vec<usize> = (0..units.len()).collect();
    order.sort_by_key(strided);
    for index in order {
        let unit = &units[index];
        let key = unit.body.key(flat, eps);
        let places = [unit.places(flat, stride), unit.places(flat, dilation)];
        let fits = |cluster: &&mut Cluster| {
            let agree = |i: usize| {
                cluster.places[i].is_none() || places[i].is_none() || cluster.places[i] == places[i]
            };
            cluster.key == key && agree(0) && agree(1)
        };
        match clusters.iter_mut().find(fits) {
            Some(cluster) => {
                cluster.members.push(index);
                for (known, own) in cluster.places.iter_mut().zip(places) {
                    *known = known.take().or(own);
                }
            }
            None => clusters.push(Cluster { key, places, members: vec![index] }),
        }
    }
    clusters.iter_mut().for_each(|cluster| cluster.members.sort_unstable());
    clusters.sort_by_key(|cluster| cluster.members[0]);
    let mut kinds: Vec<Kind> = Vec::new();
    for cluster in clusters {
        let kind = kind(flat, units, cluster, &kinds, eps);
        kinds.push(kind);
    }
    kinds
}

fn stride(op: &Op) -> usize {
    match op {
        Op::Conv { attrs, .. } => attrs.stride[0],
        Op::MaxPool(attrs) | Op::AvgPool(attrs) => attrs.stride[0],
        _ => 1,
    }
}

fn dilation(op: &Op) -> usize {
    if let Op::Conv { attrs, .. } = op { attrs.dilation[0] } else { 1 }
}

impl Unit {
    /// A unit whose text is written; its filters are those of its result, or of what it adds to the channels.
    pub(crate) fn new(flat: &Flat, body: Body, entry: Id, join: Id) -> Self {
        let layers = body.layers();
        let most = |of: fn(&Op) -> usize| layers.iter().map(|&id| of(&flat.nodes[id].op)).max().unwrap_or(1);
        let channels = flat.nodes[entry].shape[0];
        let node = &flat.nodes[join];
        let grown = node.op == Op::Concat && node.shape[0] > channels;
        let filters = if grown { node.shape[0] - channels } else { node.shape[0] };
        let (stride, dilation) = (most(stride), most(dilation));
        let mut unit = Unit { body, layers, filters, stride, dilation, channels };
        if !grown && unit.is_bottleneck(flat) && filters.is_multiple_of(4) {
            unit.filters = filters / 4;
        }
        unit
    }

    /// Whether it goes to fewer channels and back by windows of one pixel: then `f` is a quarter of its result's channels.
    fn is_bottleneck(&self, flat: &Flat) -> bool {
        let wide = |id: &&Id| flat.nodes[**id].shape[1..] != [1, 1];
        let convs = self.layers.iter().filter(wide).filter_map(|&id| match &flat.nodes[id].op {
            Op::Conv { attrs, .. } => Some(attrs.kernel),
            _ => None,
        });
        let convs: Vec<_> = convs.collect();
        convs.len() >= 3 && convs[0] == [1, 1] && convs.last() == Some(&[1, 1])
    }

    /// Which layers take a number of the unit; nothing where it is 1.
    fn places(&self, flat: &Flat, of: fn(&Op) -> usize) -> Option<Vec<usize>> {
        let all: Vec<usize> = self.layers.iter().map(|&id| of(&flat.nodes[id].op)).collect();
        let most = all.iter().copied().max().filter(|&most| most > 1)?;
        Some((0..all.len()).filter(|&i| all[i] == most).collect())
    }
}

/// A kind from its members.
fn kind(flat: &Flat, units: &[Unit], cluster: Cluster, known: &[Kind], eps: f32) -> Kind {
    if let Some(kind) = built_in(flat, units, &cluster) {
        return kind;
    }
    let members: Vec<&Unit> = cluster.members.iter().map(|&index| &units[index]).collect();
    let mut formulas = Formulas { flat, members: &members, args: Vec::new() };
    let numbers: Vec<Numbers> =
        (0..members[0].layers.len()).map(|i| formulas.numbers(i, &cluster.places)).collect();
    let lines = members[0].body.lines(|i, id| words::layer(&flat.nodes[id].op, &numbers[i], eps));
    let args = formulas.args;
    let text: String = lines.iter().map(|(_, value)| format!("{value} ")).collect();
    let name = name(&cluster.key, known);
    let mut signature: Vec<&str> =
        ["f", "stride", "dilation"].into_iter().filter(|p| mentions(&text, p)).collect();
    signature.extend(args.iter().map(|(name, _)| name.as_str()));
    let own = Some((format!("{name}({})", signature.join(", ")), lines));
    let passed = (0..members.len()).map(|m| args.iter().map(|(name, of)| (name.clone(), of[m])).collect());
    Kind { name, own, args: passed.collect(), members: cluster.members }
}

/// Whether a text reads a variable: an argument's name, `stride=2`, is none.
fn mentions(text: &str, variable: &str) -> bool {
    let part_of_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(variable).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + variable.len()..]);
        !before.ends_with(part_of_word) && !after.starts_with(part_of_word) && !after.starts_with('=')
    })
}

/// A name that says what is special about a unit of one's own.
fn name(key: &str, known: &[Kind]) -> String {
    let base = match () {
        () if key.contains("gate = ") => "gated",
        () if key.contains("concat(") => "dense",
        () if key.starts_with("pre = ") || key.starts_with("main = x -> bn") => "preact",
        () if !key.contains("-> bn") && key.contains("bias)") => "folded",
        () => "own",
    };
    let taken = |name: &str| known.iter().any(|kind| kind.name == name);
    let mut numbered = std::iter::once(base.to_owned()).chain((2..).map(|n| format!("{base}{n}")));
    numbered.find(|name| !taken(name)).expect("numbers do not end")
}

/// Finds what the members' numbers have in common.
struct Formulas<'k> {
    flat: &'k Flat,
    members: &'k [&'k Unit],
    /// Parameters of the unit, each with its members' values.
    args: Vec<(String, Vec<usize>)>,
}

impl Formulas<'_> {
    fn numbers(&mut self, layer: usize, [strides, dilations]: &[Option<Vec<usize>>; 2]) -> Numbers {
        let op = &self.flat.nodes[self.members[0].layers[layer]].op;
        let mut numbers = Numbers::of(op);
        if words::out(op).is_some() {
            numbers.out = self.formula(layer, |op| words::out(op).unwrap_or(0), "width");
        }
        if strides.as_ref().is_some_and(|places| places.contains(&layer)) {
            numbers.stride = "stride".to_owned();
        }
        if dilations.as_ref().is_some_and(|places| places.contains(&layer)) {
            numbers.dilation = "dilation".to_owned();
        }
        if let Op::Conv { .. } = op {
            let groups = |op: &Op| if let Op::Conv { attrs, .. } = op { attrs.groups } else { 1 };
            numbers.groups = self.groups(layer, groups);
        }
        numbers
    }

    fn op(&self, member: &Unit, layer: usize) -> &Op {
        &self.flat.nodes[member.layers[layer]].op
    }

    /// A number of a layer: a multiple of `f`, one number, a multiple of the input's channels, or what each unit passes.
    fn formula(&mut self, layer: usize, of: fn(&Op) -> usize, parameter: &str) -> String {
        let values: Vec<usize> = self.members.iter().map(|unit| of(self.op(unit, layer))).collect();
        let as_multiple = |variable: &str, of: fn(&Unit) -> usize| {
            let texts = values.iter().zip(self.members).map(|(&n, unit)| multiple(n, of(unit), variable));
            all_equal(texts)?
        };
        let constant = || all_equal(values.iter().map(ToString::to_string));
        let formula = as_multiple("f", |unit| unit.filters).or_else(constant);
        if let Some(formula) = formula.or_else(|| as_multiple("channels", |unit| unit.channels)) {
            return formula;
        }
        if let Some((name, _)) = self.args.iter().find(|(_, known)| *known == values) {
            return name.clone();
        }
        let name = format!("{parameter}{}", self.args.len() + 1);
        self.args.push((name.clone(), values));
        name
    }

    /// Groups: mostly one number; a depthwise convolution has as many as channels.
    fn groups(&mut self, layer: usize, of: fn(&Op) -> usize) -> String {
        let depthwise = |unit: &&Unit| {
            let node = &self.flat.nodes[unit.layers[layer]];
            of(&node.op) > 1 && self.flat.nodes[node.inputs[0]].shape[0] == of(&node.op)
        };
        let constant = all_equal(self.members.iter().map(|unit| of(self.op(unit, layer))));
        match constant {
            Some(1) => String::new(),
            Some(groups) if !self.members.iter().all(depthwise) => groups.to_string(),
            _ => self.formula(layer, of, "groups"),
        }
    }
}

fn all_equal<T: PartialEq>(mut values: impl Iterator<Item = T>) -> Option<T> {
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}

const BASIC: &str = "\
main = x -> conv3x3(_, stride=_, dilation=_, groups=_) -> bn -> relu -> conv3x3(_, stride=_, dilation=_, groups=_) -> bn
out = main + shortcut -> relu
";

const BOTTLENECK: &str = "\
main = x -> conv1x1(_, stride=_, dilation=_, groups=_) -> bn -> relu -> conv3x3(_, stride=_, dilation=_, groups=_) -> bn -> relu -> conv1x1(_, stride=_, dilation=_, groups=_) -> bn
out = main + shortcut -> relu
";

/// A unit that the language has.
fn built_in(flat: &Flat, units: &[Unit], cluster: &Cluster) -> Option<Kind> {
    let members = &cluster.members;
    let convs = |index: usize| {
        let layers = units[index].layers.iter().map(|&id| &flat.nodes[id].op);
        layers.filter_map(|op| match op {
            Op::Conv { out, attrs, .. } => Some((*out, attrs.groups)),
            _ => None,
        })
    };
    // Layers: conv, bn, relu, conv, bn [, relu, conv, bn], relu.
    let places = |i: usize| cluster.places[i].as_deref();
    let named = |name: &str, args: Vec<(String, usize)>| {
        Some(Kind {
            name: name.to_owned(),
            own: None,
            args: vec![args; members.len()],
            members: members.clone(),
        })
    };
    if cluster.key == BASIC {
        let plain = members.iter().all(|&index| convs(index).all(|conv| conv == (units[index].filters, 1)));
        let places = matches!(places(0), None | Some([0])) && matches!(places(1), None | Some([0, 3]));
        return if plain && places { named("basic", Vec::new()) } else { None };
    }
    if cluster.key != BOTTLENECK || !matches!(places(1), None | Some([3])) {
        return None;
    }
    let arguments = |index: usize| {
        let convs: Vec<(usize, usize)> = convs(index).collect();
        let f = units[index].filters;
        let (&[(width, 1), (inner, groups), (out, 1)], true) = (&convs[..], f > 0) else { return None };
        let fits = width == inner && out == 4 * f && (64 * width).is_multiple_of(f * groups);
        fits.then(|| (groups, 64 * width / (f * groups)))
    };
    let (groups, base) = all_equal(members.iter().map(|&index| arguments(index)))??;
    let args = [("groups", groups, 1), ("base_width", base, 64)];
    let args = args.into_iter().filter(|(_, value, usual)| value != usual);
    let args = args.map(|(name, value, _)| (name.to_owned(), value)).collect();
    match places(0) {
        None | Some([3]) => named("bottleneck", args),
        Some([0]) => named("bottleneck_v1", args),
        Some(_) => None,
    }
}
