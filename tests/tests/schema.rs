//! The JSON schema takes every right spec and refuses every one whose structure is wrong. YAML is read here as an editor
//! reads it, by another reader than the compiler's.

use std::fs;
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use resnetc_compiler::spec::schema::schema;
use serde_json::Value;

/// Why the schema refuses a wrong spec, or why it cannot.
const FIXTURES: &[(Fault, &[&str])] = &[
    (
        Fault::Structure,
        &[
            "a_list",
            "bad_augment",
            "bad_average",
            "bad_batch_size",
            "bad_distill",
            "bad_expected_time",
            "bad_flip",
            "bad_groups",
            "bad_init",
            "bad_input",
            "bad_loss",
            "bad_loss_scale",
            "bad_memory_limit",
            "bad_milestones",
            "bad_mix",
            "bad_muon",
            "bad_name",
            "bad_normalize",
            "bad_numbers",
            "bad_optimizer",
            "bad_precision",
            "bad_random_resized_crop",
            "bad_repeats",
            "bad_resizing",
            "bad_preprocess",
            "bad_schedule",
            "bad_sweep",
            "bad_tta",
            "cut_at_comma",
            "deep_nesting",
            "empty",
            "empty_stages",
            "filters_in_pieces",
            "flags_in_capitals",
            "flags_of_old",
            "functions_for_layers",
            "foreign_keys",
            "foreign_words",
            "glued_keys",
            "look_alikes",
            "loss_scale_of_nothing",
            "missing_depth",
            "missing_filters",
            "missing_keys",
            "missing_unit",
            "negative_filters",
            "no_break_spaces",
            "normalize_of_unknown_channels",
            "not_indented",
            "null_is_nothing",
            "numbers_otherwise",
            "other_meanings",
            "rule_with_faults",
            "schedule_without_period",
            "schedules_misused",
            "settings_without_any",
            "stages_without_value",
            "kinds_by_settings",
            "stem_is_a_map",
            "texts_as_lists",
            "two_schedules",
            "unicode",
            "unknown_dataset",
            "unknown_key",
            "unknown_keys_everywhere",
            "unknown_shortcut",
            "unknown_style",
            "wrong_types",
            "zero_depth",
        ],
    ),
    // YAML is read before the schema sees it: a second document, aliases without end, or no YAML at all is the reader's to
    // refuse. Of two equal keys it gives one, and tags and merge keys it reads in its own way.
    (
        Fault::Yaml,
        &[
            "alias_bomb",
            "cut_key_at_comma",
            "duplicate_keys",
            "merge_key_misused",
            "tags",
            "two_documents",
            "unknown_anchor",
            "yaml_after_a_value",
            "yaml_at_sign",
            "yaml_colon_in_arguments",
            "yaml_colon_in_signature",
            "yaml_columns",
            "yaml_equals_sign",
            "yaml_list_in_line",
            "yaml_mismatched_brackets",
            "yaml_no_break_space",
            "yaml_no_space_behind_colon",
            "yaml_second_colon",
            "yaml_syntax",
            "yaml_tab",
            "yaml_text_not_indented",
            "yaml_unclosed_brace",
            "yaml_unclosed_quote",
        ],
    ),
    // To a schema the unit language is text.
    (
        Fault::Language,
        &[
            "argument_twice",
            "bad_signature",
            "bias_init_without_bias",
            "binding_reaches_no_result",
            "bomb_of_expressions",
            "bound_twice",
            "brackets",
            "channels_given_to_group_norm",
            "channels_given_to_norm",
            "concat_misused",
            "deep_brackets",
            "divided_by_a_map",
            "division_by_zero",
            "dotted_names",
            "drop_block_without_size",
            "drops_everything",
            "even_channel_kernel",
            "foreign_arguments",
            "foreign_layers",
            "fractional_channels",
            "layer_not_yet",
            "layer_without_window",
            "map_as_number",
            "missing_argument",
            "missing_arrow",
            "missing_comma",
            "missing_layers",
            "missing_stride",
            "norm_depends_on_filters",
            "norm_does_not_normalise",
            "number_as_out",
            "place_is_reserved",
            "pool_padding",
            "recursion",
            "reserved_name",
            "several_faults_in_units",
            "shortcut_of_cases_misused",
            "shortcut_reads_itself",
            "shortcut_without_shape",
            "signs_of_other_languages",
            "syntax_error_in_unit",
            "too_many_arguments",
            "unclosed_bracket",
            "unit_without_out",
            "unknown_argument",
            "unknown_function",
            "unknown_layer",
            "unknown_variable",
            "unused_binding",
            "wrong_arrows",
        ],
    ),
    // What one key says is wrong beside what another says: a key that the stage's unit does not take, an output of a stage too many.
    (
        Fault::Together,
        &[
            "class_weights_of_other_classes",
            "crops_of_seven",
            "crops_of_squashed",
            "flip_alternates_vertically",
            "local_sgd_misused",
            "min_lr_above_lr",
            "min_lr_of_a_plateau",
            "mix_of_nothing",
            "nesterov_without_momentum",
            "normalize_of_other_channels",
            "output_stride_below_stem",
            "output_twice",
            "preprocess_too_small",
            "resizing_beyond_the_training",
            "shard_optimizer_of_whole_parameters",
            "softmax_focal_with_alpha",
            "stage_argument_in_unit",
            "stage_key_without_effect",
            "style_without_bottleneck",
            "swa_misused",
            "training_without_head",
            "transition_of_one_stage",
            "two_dilations",
            "unit_cannot_dilate",
            "unit_needs_argument",
            "unit_whose_name_begins_like_another",
            "unit_without_arguments",
            "unknown_outputs",
            "unknown_unit",
            "unknown_unit_parameter",
        ],
    ),
    // The fault is in another file.
    (Fault::Base, &["extends_cycle", "extends_cycle_b", "extends_fault_in_base", "extends_missing"]),
    // Not every device can do it.
    (Fault::Device, &["half_precision_on_the_cpu"]),
    // Only the shapes and sizes of the network show it.
    (
        Fault::Network,
        &[
            "blur_of_one_pixel",
            "concat_of_different_images",
            "expect_mismatch",
            "factors_differ",
            "factors_of_unlike_sizes",
            "flatten_of_an_image",
            "groups_do_not_divide",
            "groups_match_nothing",
            "head_of_maps",
            "head_of_other_classes",
            "head_without_flatten",
            "huge_depth",
            "identity_cannot_widen",
            "image_too_small",
            "linear_of_an_image",
            "linear_then_norm",
            "memory_limit_too_small",
            "muon_without_filters",
            "norm_groups_do_not_divide",
            "norm_of_projection_does_not_divide",
            "pad_cannot_narrow",
            "pad_to_fewer_channels",
            "resizing_of_a_fixed_window",
            "resizing_of_shortcuts",
            "rule_of_own_has_other_channels",
            "shapes_cannot_be_added",
            "shortcut_case_never_met",
            "strides_differ",
            "too_large_maps",
            "too_many_parameters",
            "too_many_units",
            "zero_last_bn_without_norm",
        ],
    ),
];

/// Where the fault of a wrong spec lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Structure,
    Yaml,
    Language,
    Together,
    Base,
    Device,
    Network,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn validator() -> Validator {
    let schema: Value = serde_json::from_str(&schema()).expect("the schema is JSON");
    assert!(jsonschema::meta::is_valid(&schema), "the schema is none of its draft");
    jsonschema::validator_for(&schema).expect("the schema is sound")
}

fn value(path: &Path) -> Value {
    let text = fs::read_to_string(path).expect("a spec is readable");
    // YAML 1.2, in which `no` is a text.
    let options = serde_yaml::options! { strict_booleans: true };
    serde_yaml::from_str_with_options(&text, options)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All YAML files below a folder.
fn specs(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            found.extend(specs(&path));
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            found.push(path);
        }
    }
    found
}

#[test]
fn right_specs_are_taken() {
    let validator = validator();
    let mut right = specs(&root().join("specs"));
    right.extend(specs(&root().join("tests/ok")));
    right.push(root().join("cli/tests/specs/tiny.yaml"));
    assert!(right.len() > 25);
    let mut faults = Vec::new();
    for path in right {
        for fault in validator.iter_errors(&value(&path)) {
            faults.push(format!("{}, {}: {fault}", path.display(), fault.instance_path()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Refused where the structure is wrong; where it is not, taken, so that a fixture in the wrong list is noticed.
#[test]
fn wrong_structures_are_refused() {
    let validator = validator();
    for (fault, names) in FIXTURES.iter().filter(|(fault, _)| *fault != Fault::Yaml) {
        for name in *names {
            let right = validator.is_valid(&value(&root().join(format!("tests/err/{name}.yaml"))));
            assert_eq!(right, *fault != Fault::Structure, "{name}, whose fault is one of {fault:?}");
        }
    }
}

#[test]
fn every_wrong_spec_is_in_one_list() {
    let files = specs(&root().join("tests/err"));
    let mut files: Vec<_> = files.iter().filter_map(|path| path.file_stem()?.to_str()).collect();
    let mut listed: Vec<_> = FIXTURES.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    files.sort_unstable();
    listed.sort_unstable();
    assert_eq!(listed, files);
}

#[test]
fn a_base_may_say_what_a_spec_leaves_out() {
    let validator = validator();
    let valid = |text: &str| validator.is_valid(&serde_yaml::from_str::<Value>(text).expect("YAML"));
    assert!(valid("extends: resnet20\ntrain: {schedule: {step: {gamma: 0.5}}}"));
    assert!(!valid("extends: resnet20\ntrain: {schedule: {step: {gama: 0.5}}}"));
    assert!(!valid("name: alone\nstem: relu"));
}

/// `unit` and `filters` are demanded of a spec without a base, but of no stage that can do without.
#[test]
fn stages_need_units_and_filters() {
    let validator = validator();
    let valid = |text: &str| {
        let head = "name: a\ninput: [3, 8, 8]\nclasses: 10\nstem: conv3x3(8)\n";
        validator.is_valid(&serde_yaml::from_str::<Value>(&format!("{head}{text}")).expect("YAML"))
    };
    assert!(valid("unit: basic\nstages: [{depth: 1, filters: 8}]"));
    assert!(valid("stages: [{depth: 1, filters: 8, unit: basic}, [{filters: [8, 9], unit: basic}]]"));
    assert!(!valid("stages: [{depth: 1, filters: 8, unit: basic}, {depth: 1, filters: 8}]"));
    assert!(!valid("stages: [[{depth: 1, filters: 8, unit: basic}, {depth: 1, filters: 8}]]"));
    assert!(!valid("unit: basic\nstages: [[{depth: 1, filters: 8}, {depth: 1}]]"));
    // A unit of one's own needs none, unless its signature says so.
    assert!(valid("unit: own\nstages: [{depth: 1}]\nunits: {own(g=2): out = x -> conv3x3(g)}"));
    assert!(valid(
        "unit: own\nstages: [{depth: 1}]\nunits: {own: out = x -> relu, 'b(f)': out = x -> conv3x3(f)}"
    ));
    assert!(!valid("unit: own\nstages: [{depth: 1}]\nunits: {'own(g=2, f )': out = x -> conv3x3(f)}"));
    assert!(valid("extends: resnet20\nstages: [{depth: 1}]"));
}
