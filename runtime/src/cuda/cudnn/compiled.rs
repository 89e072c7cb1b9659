//! What came of a work for which plans were made ahead of time.

use super::plan::Stored;

/// What was made of a work ahead of time.
#[derive(Debug, Default)]
pub struct Compiled {
    /// The plans, the heuristics' best first.
    pub plans: Vec<Stored>,
    /// Whether they were there already.
    pub kept: bool,
    /// What mode A of the heuristics offered, and the fallback.
    pub offered: [usize; 2],
    /// Ways that the rules forbid, and why.
    pub forbidden: Vec<(String, String)>,
    /// Ways that could not be made, and why.
    pub failed: Vec<(String, String)>,
    /// Why nothing was offered, or why there is no plan, where that was found out before.
    pub reason: Option<String>,
    /// Files that could not be used.
    pub remarks: Vec<String>,
}

impl Compiled {
    /// Why there is no plan.
    pub fn why(&self) -> String {
        if !self.failed.is_empty() {
            return format!("all fail: {}", each_once(&self.failed));
        }
        match &self.reason {
            Some(reason) => reason.clone(),
            None if self.forbidden.is_empty() => "the heuristics offer nothing".to_owned(),
            None => {
                let (all, why) = (self.forbidden.len(), each_once(&self.forbidden));
                format!("all {all} that are offered are against the rules: {why}")
            }
        }
    }
}

/// The reasons, without who has them.
fn each_once(reasons: &[(String, String)]) -> String {
    let mut known: Vec<&str> = Vec::new();
    for (_, why) in reasons {
        if !known.contains(&why.as_str()) {
            known.push(why);
        }
    }
    known.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_why_there_is_no_plan() {
        let of = |whys: &[&str]| -> Vec<(String, String)> {
            whys.iter()
                .enumerate()
                .map(|(index, why)| (format!("engine {index}"), (*why).to_owned()))
                .collect()
        };
        let (forbidden, failed) = (of(&["random", "slow", "random"]), of(&["no", "no"]));
        let against = Compiled { forbidden, ..Compiled::default() };
        assert_eq!(against.why(), "all 3 that are offered are against the rules: random; slow");
        assert_eq!(Compiled { failed, ..against }.why(), "all fail: no");
        assert_eq!(Compiled::default().why(), "the heuristics offer nothing");
        let before = Compiled { reason: Some("all fail: never".into()), kept: true, ..Compiled::default() };
        assert_eq!(before.why(), "all fail: never");
    }
}
