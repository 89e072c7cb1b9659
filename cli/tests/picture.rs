//! `resnetc build --emit svg` and `--emit html`.

mod common;

use common::stdout;

const TINY: &str = "tests/specs/tiny.yaml";

fn svg(spec: &str, more: &[&str]) -> String {
    stdout(&[&["build", spec, "--emit", "svg"], more].concat())
}

#[test]
fn picture_of_a_tiny_network() {
    insta::assert_snapshot!("tiny_svg", svg(TINY, &[]));
}

/// The page without style and script, which are files of the program.
#[test]
fn page_of_a_tiny_network() {
    let mut page = stdout(&["build", TINY, "--emit", "html"]);
    for tag in ["style", "script"] {
        let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
        let start = page.find(&open).expect("the page has one") + open.len();
        let end = start + page[start..].find(&close).expect("it ends");
        page.replace_range(start..end, "...");
    }
    insta::assert_snapshot!("tiny_html", page);
}

#[test]
fn picture_shows_each_unit_and_each_identity_shortcut() {
    let text = svg(TINY, &[]);
    assert_eq!(
        text.matches("<path class=\"arc\" d=\"M").count(),
        2,
        "an identity shortcut, and the legend: {text}"
    );
    for name in ["stem", "stage1.unit0", "stage2.unit0", "head"] {
        assert!(text.contains(&format!("data-units=\"{name}\"")), "{name} has no card");
    }
    assert!(text.contains("data-line=\"tests/specs/tiny.yaml:9\""), "a stage knows its line: {text}");
}

/// A gate goes round the branch that it weighs as the shortcut does, but is none; and where no shortcut is drawn, the legend
/// has none.
#[test]
fn only_shortcuts_are_drawn_as_shortcuts() {
    let arcs =
        |spec: &str, fold: &str| svg(spec, &["--fold", fold]).matches("<path class=\"arc\" d=\"M").count();
    assert_eq!(
        arcs("shortcut-exclusive-gating-b6", "units"),
        3 + 1,
        "of each stage's equal units, and the legend"
    );
    assert_eq!(arcs("shortcut-exclusive-gating-b6", "stages"), 0);
    assert_eq!(arcs("shortcut-scale-0-1", "units"), 0, "a plain network");
}

#[test]
fn equal_units_are_drawn_once() {
    let count = |more: &[&str]| svg("resnet152", more).matches("<g class=\"unit\"").count();
    // Input, stem, head, and: all 50 units; the first and the others of each stage; the stages.
    assert_eq!(count(&["--fold", "none"]), 3 + 50);
    assert_eq!(count(&["--fold", "units"]), 3 + 8);
    assert_eq!(count(&["--fold", "stages"]), 3 + 4);
    assert_eq!(count(&[]), 3 + 8, "fifty units do not fit on a page");
    assert!(svg("resnet152", &[]).contains(">\u{d7}35</text>"));
}

#[test]
fn page_has_every_level_every_row_and_every_pass() {
    let page = stdout(&["build", TINY, "--emit", "html"]);
    for level in ["none", "units", "stages"] {
        assert_eq!(page.matches(&format!("<svg data-fold=\"{level}\"")).count(), 1, "{level}");
    }
    for unit in ["stem", "stage1.unit0", "stage2.unit0", "head"] {
        assert_eq!(page.matches(&format!("<tr tabindex=\"0\" data-unit=\"{unit}\"")).count(), 1, "{unit}");
    }
    let passes = stdout(&["build", TINY, "--explain-passes"]);
    let passes = passes.lines().filter(|line| !line.starts_with(' ')).count();
    assert_eq!(page.matches("<details>").count(), passes);
    for text in ["http://", "https://", "<link", "<img", "@import", "url("] {
        assert!(!page.contains(text), "the page loads nothing, but holds {text}");
    }
}

/// Every line that something drawn names stands in the spec beside it.
#[test]
fn page_has_the_line_of_every_box() {
    let page = stdout(&["build", TINY, "--emit", "html"]);
    let named = |prefix: &str| -> Vec<String> {
        let parts = page.split(prefix).skip(1);
        parts.map(|part| part.split('"').next().unwrap_or_default().to_owned()).collect()
    };
    let lines = named("<li data-line=\"");
    let boxes = named("<g class=\"op\" data-line=\"");
    assert!(!boxes.is_empty());
    for line in boxes {
        assert!(lines.contains(&line), "{line} is not in the page");
    }
}

#[test]
fn nothing_of_a_spec_is_markup() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("<b>\"&.yaml");
    let tiny = std::fs::read_to_string(TINY).expect("readable");
    let attack = "# </code><script>alert(1)</script> \" onload=\"alert(2)\n";
    std::fs::write(&file, format!("{attack}{tiny}")).expect("written");
    let path = file.to_str().expect("UTF-8");
    let page = stdout(&["build", path, "--emit", "html"]);
    assert_eq!(page.matches("<script>").count(), 1, "the page's own");
    assert!(page.contains("&lt;script&gt;alert(1)"), "the comment is shown");
    assert!(!page.contains("<b>\"") && !page.contains("\" onload="));
    assert!(!svg(path, &[]).contains("<b>\""));
}

/// Seconds that a command takes, of three times the least.
fn seconds(args: &[&str]) -> f64 {
    let time = || {
        let started = std::time::Instant::now();
        stdout(args);
        started.elapsed().as_secs_f64()
    };
    (0..3).map(|_| time()).fold(f64::INFINITY, f64::min)
}

/// Pictures were cubic in units, and the lint in summands quadratic: four times as many took 64 and 16 times as long.
#[test]
fn time_grows_with_size() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: String, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    };
    let head = "input: [3, 8, 8]\nclasses: 10\nstem: conv3x3(16) -> bn -> relu\n";
    let deep = |units: usize| {
        let text = format!("name: deep\n{head}unit: basic\nstages:\n  - {{depth: {units}, filters: 16}}\n");
        write(format!("deep{units}.yaml"), text)
    };
    let wide = |terms: usize| {
        let sum = " + 0.5 * x".repeat(terms);
        let unit = format!("units:\n  wide(f, stride): |\n    out = (x -> conv3x3(f, stride) -> bn){sum}\n");
        let text = format!("name: wide\n{head}{unit}unit: wide\nstages:\n  - {{depth: 1, filters: 16}}\n");
        write(format!("wide{terms}.yaml"), text)
    };
    let picture = |units| {
        let spec = deep(units);
        seconds(&["build", &spec, "--emit", "svg", "--fold", "none"])
    };
    let lint = |terms| {
        let spec = wide(terms);
        seconds(&["lint", &spec])
    };
    for (few, many, what) in [(picture(200), picture(800), "pictures"), (lint(1000), lint(4000), "lint")] {
        // What takes so little time is noise.
        assert!(many < 12.0 * few.max(0.05), "{what}: {few:.3} s, then {many:.3} s");
    }
}
