//! The shipped tables: every row is a network with the published number of parameters, and is trained as it was published.

use resnetc::PublishedTable;
use resnetc_compiler::spec::limits::Limits;
use resnetc_compiler::spec::train::Schedule;
use resnetc_compiler::tables::{self, Published};

fn all() -> Vec<PublishedTable> {
    let limits = Limits::default();
    tables::tables().map(|shipped| PublishedTable::shipped(shipped, &limits).expect("right")).collect()
}

#[test]
fn every_network_compiles_and_has_the_published_parameters() {
    for table in all() {
        for row in &table.table.rows {
            let spec = table.spec(row, &Limits::default());
            let spec = spec.unwrap_or_else(|error| panic!("{}, {}: {error}", table.name, row.id.value));
            spec.expand().unwrap_or_else(|error| panic!("{}, {}: {error}", table.name, row.id.value));
        }
    }
}

/// A count that differs with a reason does differ: the reason is none where it would agree.
#[test]
fn reasons_are_for_counts_that_differ() {
    for table in all() {
        for row in table.table.rows.iter().filter(|row| row.params_differ.is_some()) {
            let params = table.spec(row, &Limits::default()).expect("right").figures().expect("right").params;
            let published = row.params.as_ref().expect("a reason has a count");
            assert!(!published.value.holds(params), "{}, {}", table.name, row.id.value);
        }
    }
}

/// The recipe reaches every row: epochs, milestones within the training, and the data set.
#[test]
fn every_row_is_trained_by_its_recipe() {
    for table in all() {
        let epochs = table.table.recipe.iter().find_map(|set| set.strip_prefix("train.epochs="));
        let epochs: usize = epochs.and_then(|epochs| epochs.parse().ok()).expect("a recipe has epochs");
        for row in &table.table.rows {
            let spec = table.spec(row, &Limits::default()).expect("right");
            let train = &spec.resolved().train;
            let steps = train.updates(50_000) * train.epochs;
            let Schedule::Multistep { milestones, .. } = &train.schedule else {
                panic!("{}, {}: {:?}", table.name, row.id.value, train.schedule)
            };
            assert!(milestones.last().is_some_and(|&last| last < steps), "{}, {}", table.name, row.id.value);
            assert_eq!(train.epochs, epochs, "{}, {}", table.name, row.id.value);
        }
        assert_eq!(table.table.dataset, "cifar10");
    }
}

/// Figures as the papers print them, read off once more: a digit that slips in a table shows here.
#[test]
fn figures_are_those_of_the_papers() {
    let errors = |name: &str| -> Vec<f64> {
        let table = all().into_iter().find(|table| table.name == name).expect("it ships").table;
        table
            .rows
            .iter()
            .filter_map(|row| row.published)
            .map(|published| match published {
                Published::Error { error, .. } => error,
                Published::Above(bound) => -bound,
            })
            .collect()
    };
    assert_eq!(errors("resnet"), [8.75, 7.51, 7.17, 6.97, 6.61, 7.93]);
    let failed = -20.0;
    let shortcuts = [6.61, failed, failed, 12.35, failed, failed, 8.70, 9.81, 12.86, 6.91, 12.22, failed];
    assert_eq!(errors("identity-shortcuts"), shortcuts);
    assert_eq!(errors("identity-activations"), [6.61, 8.17, 7.84, 6.71, 6.37, 5.93, 6.50, 6.14, 5.91, 5.46]);
    assert_eq!(errors("densenet"), [4.51, 4.58, 3.99, 4.01, 3.62, 3.46]);
    assert_eq!(errors("wide-resnet"), [5.02, 4.53, 4.27, 4.00, 3.89]);
    assert_eq!(errors("pyramidnet"), [4.62, 4.27, 3.73]);
}

/// The page about tables names every key, and its table is one.
#[test]
fn the_page_has_every_key_and_a_right_table() {
    let page = include_str!("../../docs/tables.md");
    for section in [tables::TABLE, tables::ROW] {
        for name in section.names() {
            assert!(page.contains(&format!("\n| `{name}` |")), "{}: {name}", section.what);
        }
    }
    for shipped in tables::tables() {
        assert!(page.contains(&format!("\n| `{}` |", shipped.name)), "{}", shipped.name);
    }
    let text = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a table");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mine.yaml");
    std::fs::write(&file, text).expect("written");
    let table = PublishedTable::open(&file, &Limits::default()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((table.name.as_str(), table.table.rows.len()), ("mine", 2));
    for row in &table.table.rows {
        table.spec(row, &Limits::default()).unwrap_or_else(|error| panic!("{error}"));
    }
}
