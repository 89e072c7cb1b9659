//! The optimizers of specs: their keys follow from what each rule says of itself (`ir/update/`).

use crate::diagnostic::Diagnostic;
use crate::ir::update::rule::{Constant, Constants, Kind, Rule, Setting};
use crate::ir::update::{
    AdamWAttrs, LambAttrs, LarsAttrs, LionAttrs, MuonAttrs, SgdAttrs, UpdateRule, with_rules,
};
use crate::spec::yaml::fields::Fields;
use crate::spec::yaml::node::Node;
use crate::spec::yaml::read::Reader;
use crate::spec::yaml::shape::{Choice, Key, Section, Shape};

/// Keys of an optimizer: the rate, the rule's settings, and whether normalisations decay.
const fn keys<const N: usize>(rate: &'static str, settings: &[Setting]) -> [Key; N] {
    const NONE: Key = Key::new("", Shape::Flag, "");
    let mut keys = [NONE; N];
    assert!(settings.len() + 2 == N, "a key for each setting, and two");
    keys[0] = Key::new("lr", Shape::Number(0.0, 1e6), "Learning rate before the schedule.").default(rate);
    let mut i = 0;
    while i < settings.len() {
        let setting = &settings[i];
        let shape = match setting.kind {
            Kind::Number(least, most) => Shape::Number(least, most),
            Kind::Flag => Shape::Flag,
        };
        keys[i + 1] = Key::new(setting.name, shape, setting.about).default(setting.default);
        i += 1;
    }
    let about = "Whether weight decay applies to normalisations and biases too.";
    keys[N - 1] = Key::new("decay_norm", Shape::Flag, about).default("true");
    keys
}

macro_rules! choices {
    ($($word:literal => $name:ident($attrs:ident),)*) => {
        /// Optimizers by name.
        pub const OPTIMIZERS: &[Choice] = &[
            $(Choice {
                name: $attrs::NAME,
                about: $attrs::ABOUT,
                settings: Section {
                    what: $attrs::QUOTED,
                    keys: {
                        const KEYS: [Key; $attrs::SETTINGS.len() + 2] = keys($attrs::RATE, $attrs::SETTINGS);
                        &KEYS
                    },
                },
            },)*
        ];

        /// The settings of an optimizer.
        fn settings(name: &str) -> &'static [Setting] {
            match name {
                $($word => $attrs::SETTINGS,)*
                _ => &[],
            }
        }
    };
}

with_rules!(choices);

/// The learning rate, the rule with its constants, and whether weight decay applies to normalisations too.
pub(super) fn read(
    reader: &mut Reader<'_>,
    choice: &'static Choice,
    settings: Option<&Node>,
) -> (f32, UpdateRule, bool) {
    let fields = Fields::read(reader, settings, &choice.settings);
    let values: Vec<Constant> = self::settings(choice.name)
        .iter()
        .map(|setting| match setting.kind {
            Kind::Number(..) => fields.number(reader, setting.name).into(),
            Kind::Flag => fields.flag(reader, setting.name).into(),
        })
        .collect();
    let rule = UpdateRule::of(choice.name, &values).expect("the name is a rule's");
    if let (Some([message, help]), Some(settings)) = (rule.fault(), settings) {
        reader.fault(Diagnostic::error(message, settings.span, "not so here").help(help));
    }
    let lr = fields.number(reader, "lr");
    if let (true, 0.0, Some(settings)) = (rule.takes_matrix(), lr, settings) {
        // Rates of other rules are shares of it.
        let fault =
            Diagnostic::error(format!("`{}` needs a rate", choice.name), settings.span, "`lr` is 0 here");
        reader.fault(fault.help(
            "write `lr: 0.02`; a group with `lr_scale: 0` trains nothing by it, `freeze` leaves parameters out",
        ));
    }
    (lr, rule, fields.flag(reader, "decay_norm"))
}
