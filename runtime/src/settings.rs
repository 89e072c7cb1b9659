//! The settings a training was made with, as its checkpoints remember them: a training that goes on with others is told
//! so, setting by setting.

use resnetc_compiler::spec::train::TrainConfig;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Settings whose change is not told: those without influence on the weights, and those that a checkpoint refuses to change.
const CHANGES_NOT_TOLD: [&str; 8] =
    ["dataset", "batch_size", "seed", "evaluate_every", "checkpoint_every", "keep", "tta", "memory_limit"];

/// A [`TrainConfig`] as the JSON that its file has; none in checkpoints of programs that did not remember it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Settings(Value);

/// One setting that is not what it was; values are JSON.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Its place: `schedule.step.gamma`.
    pub setting: String,
    /// In the checkpoint.
    pub was: String,
    /// From now on.
    pub is: String,
}

impl Settings {
    /// Through text, as a checkpoint has it: a float otherwise differs from itself read back.
    pub fn of(config: &TrainConfig) -> Self {
        let text = serde_json::to_string(config).expect("numbers, strings and lists serialise");
        Settings(serde_json::from_str(&text).expect("just written"))
    }

    /// A setting that is a text.
    pub fn text(&self, setting: &str) -> Option<&str> {
        self.0.get(setting)?.as_str()
    }

    /// What is different `now`, of what influences the weights.
    pub fn changes(&self, now: &Settings) -> Vec<Change> {
        let mut changes = Vec::new();
        if self.0.is_object() {
            compare("", &self.0, &now.0, &mut changes);
        }
        changes
    }
}

/// Values with the same keys are compared key by key, others whole.
fn compare(place: &str, was: &Value, is: &Value, changes: &mut Vec<Change>) {
    if was == is {
        return;
    }
    match (was, is) {
        (Value::Object(before), Value::Object(now)) if place.is_empty() || before.keys().eq(now.keys()) => {
            let gone = before.keys().filter(|key| !now.contains_key(*key));
            for key in now.keys().chain(gone).filter(|key| !CHANGES_NOT_TOLD.contains(&key.as_str())) {
                let place = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
                let [was, is] = [before, now].map(|settings| settings.get(key).unwrap_or(&Value::Null));
                compare(&place, was, is, changes);
            }
        }
        _ => changes.push(Change { setting: place.to_owned(), was: was.to_string(), is: is.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use resnetc_compiler::ir::update::{SgdAttrs, UpdateRule};
    use resnetc_compiler::spec::train::{Augment, By, Schedule};

    use super::*;
    use crate::train::tests::{SGD, config};

    fn changes(now: &TrainConfig) -> Vec<String> {
        let changes = Settings::of(&config()).changes(&Settings::of(now));
        changes.into_iter().map(|c| format!("{} {} {}", c.setting, c.was, c.is)).collect()
    }

    #[test]
    fn each_change_is_named_with_both_values() {
        assert_eq!(changes(&config()), Vec::<String>::new());
        let mut now = TrainConfig { lr: 0.05, label_smoothing: 0.1, ..config() };
        now.optimizer = UpdateRule::Sgd(SgdAttrs { momentum: 0.5, ..SGD });
        now.schedule = Schedule::Cosine { min_lr: 0.01, by: By::Step };
        let expected = [
            "label_smoothing 0.0 0.1",
            "lr 0.1 0.05",
            "schedule.cosine.min_lr 0.0 0.01",
            "sgd.momentum 0.9 0.5",
        ];
        assert_eq!(changes(&now), expected);
    }

    #[test]
    fn values_of_another_form_are_compared_whole() {
        let now = TrainConfig {
            schedule: Schedule::Constant,
            augment: vec![Augment::Flip { probability: 0.5 }],
            ..config()
        };
        let expected = [
            r#"augment [{"crop":{"padding":4}},{"flip":{"probability":0.5}}] [{"flip":{"probability":0.5}}]"#,
            r#"schedule {"cosine":{"by":"step","min_lr":0.0}} "constant""#,
        ];
        assert_eq!(changes(&now), expected);
    }

    #[test]
    fn what_does_not_change_the_weights_and_checkpoints_without_settings_are_silent() {
        let now = TrainConfig { evaluate_every: 7, checkpoint_every: 9, ..config() };
        assert_eq!(changes(&now), Vec::<String>::new());
        assert_eq!(Settings::default().changes(&Settings::of(&now)), []);
    }
}
