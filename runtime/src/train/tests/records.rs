//! What a folder tells of its run: the same of a training that was interrupted as of one that was not.

use std::fs;

use super::*;

fn recorded(out: &Path) -> Options {
    let about = About { spec: TINY.to_owned(), command: "resnetc run".to_owned(), ..About::default() };
    Options { about: Some(about), ..options(out) }
}

/// Places and losses of steps, and epochs, without times.
fn lines(dir: &Path) -> Vec<MetricsLine> {
    let text = fs::read_to_string(dir.join(METRICS)).expect("written");
    let lines = text.lines().map(|line| serde_json::from_str(line).expect("a line"));
    lines
        .map(|line| match line {
            MetricsLine::Step { epoch, step, update, loss, lr, size, .. } => {
                MetricsLine::Step { epoch, step, update, loss, lr, size, images_per_second: 0.0 }
            }
            MetricsLine::Epoch(record) => MetricsLine::Epoch(Box::new(record.timeless())),
        })
        .collect()
}

#[test]
fn an_interrupted_run_tells_the_same_and_its_commands() {
    let [whole, parts] = [folder(), folder()];
    trainer(&config(), recorded(whole.path())).expect("fits").run(&mut |_| ()).expect("trains");
    stopped_after(8, &config(), recorded(parts.path()));
    assert_eq!(lines(parts.path()).len(), 9, "eight steps and an epoch");
    // Lines that no checkpoint stands for, as a killed training leaves them.
    let beyond = r#"{"kind":"step","epoch":2,"step":3,"update":9,"loss":9,"lr":9,"images_per_second":9}"#;
    let path = parts.path().join(METRICS);
    let text = fs::read_to_string(&path).expect("written");
    fs::write(&path, format!("{text}{beyond}\n{{\"kind\":\"st")).expect("writable");
    let resumed = Options { start: Start::Resume, ..recorded(parts.path()) };
    trainer(&config(), resumed).expect("fits").run(&mut |_| ()).expect("trains");

    let expected = lines(whole.path());
    assert_eq!(lines(parts.path()), expected);
    assert_eq!(expected.len(), 4 * 6 + 4);
    for name in PREDICTIONS.iter().chain(&CONFUSION).chain(&[SPEC]) {
        let read = |dir: &Path| fs::read_to_string(dir.join(name)).expect("written");
        assert_eq!(read(parts.path()), read(whole.path()), "{name}");
    }
    let run = RunFile::load(&parts.path().join(RUN)).expect("written");
    let places: Vec<_> = run.history.iter().map(|one| (one.after_epochs, one.after_steps)).collect();
    assert_eq!(places, [(0, 0), (1, 2)]);
    assert_eq!((run.facts.train_images, run.facts.test_images, run.facts.classes.len()), (44, 20, 10));
    assert_eq!(RunFile::load(&whole.path().join(RUN)).expect("written").history.len(), 1);
    let answers = fs::read_to_string(parts.path().join(PREDICTIONS[1])).expect("written");
    assert_eq!(answers.lines().count(), 1 + 20);
}

#[test]
fn a_run_that_is_replaced_leaves_none_of_its_records() {
    let dir = folder();
    trainer(&config(), recorded(dir.path())).expect("fits").run(&mut |_| ()).expect("trains");
    let before = fs::read(dir.path().join(RUN)).expect("written");
    let mut again = trainer(&config(), options(dir.path())).expect("fits");
    assert_eq!(fs::read(dir.path().join(RUN)).expect("there"), before, "it has written nothing yet");
    again.run(&mut |_| ()).expect("trains");
    let left = fs::read_dir(dir.path()).expect("readable").flatten().map(|entry| entry.file_name());
    let mut left: Vec<String> = left.map(|name| name.to_string_lossy().into_owned()).collect();
    left.retain(|name| !name.ends_with(".safetensors") && !name.starts_with('.'));
    assert_eq!(left, [LOG]);
}
