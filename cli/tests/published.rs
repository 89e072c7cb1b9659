//! Shipped specs against figures that others have published, and the bounds on how long a variant may be.

mod common;

use std::path::Path;

use common::stdout;
use serde_json::Value;

/// Multiply-accumulates as a publication gives them.
#[derive(Debug)]
enum Macs {
    Exactly(u64),
    /// Rounded to a multiple of the second.
    About(u64, u64),
    Unpublished,
}

/// Spec, parameters, multiply-accumulates, and who counts them so. Names are those of the specs; of the CIFAR networks
/// without a letter the shortcuts are option A.
const PUBLISHED: &[(&str, u64, Macs)] = &[
    ("resnet18", 11_689_512, Macs::Exactly(1_814_073_344)), // torchvision
    ("resnet34", 21_797_672, Macs::Exactly(3_663_761_408)), // torchvision
    ("resnet50", 25_557_032, Macs::Exactly(4_089_184_256)), // torchvision
    ("resnet50_v1", 25_557_032, Macs::Exactly(3_857_973_248)), // He 2015
    ("resnet101", 44_549_160, Macs::Exactly(7_801_405_440)), // torchvision
    ("resnet101_v1", 44_549_160, Macs::Exactly(7_570_194_432)), // He 2015
    ("resnet152", 60_192_808, Macs::Exactly(11_513_626_624)), // torchvision
    ("resnet152_v1", 60_192_808, Macs::Exactly(11_282_415_616)), // He 2015
    ("resnext50_32x4d", 25_028_904, Macs::Exactly(4_230_479_872)), // torchvision
    ("resnext101_32x8d", 88_791_336, Macs::Exactly(16_414_015_488)), // torchvision
    ("resnext101_64x4d", 83_455_272, Macs::Exactly(15_460_270_080)), // torchvision
    ("wide_resnet50_2", 68_883_240, Macs::Exactly(11_398_021_120)), // torchvision
    ("wide_resnet101_2", 126_886_696, Macs::Exactly(22_753_050_624)), // torchvision
    ("seresnet50", 28_088_024, Macs::Exactly(4_091_699_200)), // timm
    ("resnet18d", 11_708_744, Macs::Exactly(2_053_713_920)), // timm
    ("resnet50d", 25_576_264, Macs::Exactly(4_328_824_832)), // timm
    // timm counts no convolutions along channels: those of the gates are added.
    ("ecaresnet50d", 25_576_350, Macs::Exactly(4_328_824_832 + 87_808)), // timm
    ("densenet121", 7_978_856, Macs::Exactly(2_834_161_664)),            // torchvision
    ("densenet161", 28_681_000, Macs::Exactly(7_727_907_072)),           // torchvision
    ("densenet169", 14_149_480, Macs::Exactly(3_359_843_328)),           // torchvision
    ("densenet201", 20_013_928, Macs::Exactly(4_291_365_888)),           // torchvision
    ("resnet20", 269_722, Macs::About(40_550_000, 10_000)),              // He 2015 option A
    ("resnet20_b", 272_474, Macs::About(40_810_000, 10_000)),            // option B
    ("resnet32", 464_154, Macs::About(68_860_000, 10_000)),              // He 2015
    ("resnet44", 658_586, Macs::About(97_170_000, 10_000)),              // He 2015
    ("resnet56", 853_018, Macs::About(125_490_000, 10_000)),             // He 2015
    ("resnet110", 1_727_962, Macs::About(252_890_000, 10_000)),          // He 2015
    ("resnet1202", 19_421_274, Macs::About(2_829_200_000, 100_000)),     // He 2015
    ("cifar_resnet18", 11_173_962, Macs::Exactly(555_422_720)),          // 3x3 stem without pool
    ("preact164", 1_703_258, Macs::About(244_500_000, 10_000)),          // He 2016
    ("preact1001", 10_327_706, Macs::About(1_487_850_000, 10_000)),      // He 2016
    ("wrn_16_4", 2_748_890, Macs::About(392_610_000, 10_000)),           // Zagoruyko 2016
    ("wrn_28_10", 36_479_194, Macs::About(5_243_330_000, 10_000)),       // Zagoruyko 2016
    ("wrn_40_4", 8_949_210, Macs::About(1_298_580_000, 10_000)),         // Zagoruyko 2016
    ("resnext29_16x64d", 68_155_210, Macs::Unpublished),                 // Xie 2017
    ("densenet_bc_100_k12", 769_162, Macs::Unpublished),                 // Huang 2017
    ("pyramidnet110_a84", 3_904_446, Macs::Unpublished),                 // Han 2017
    ("seresnet110", 1_744_952, Macs::Unpublished),                       // Hu 2018
    ("resnet9", 6_573_120, Macs::About(379_260_000, 10_000)),            // Page 2018
];

fn verified() -> Vec<Value> {
    let rows: Value = serde_json::from_str(&stdout(&["verify", "../specs", "--json"])).expect("JSON");
    rows.as_array().expect("a list").clone()
}

#[test]
fn shipped_specs_have_the_published_figures() {
    let rows = verified();
    let mut wrong = Vec::new();
    for (name, params, macs) in PUBLISHED {
        let Some(row) = rows.iter().find(|row| row["name"] == *name) else {
            wrong.push(format!("there is no spec of {name}"));
            continue;
        };
        let counted = row["macs"].as_u64().expect("it compiles");
        let right = match macs {
            Macs::Exactly(macs) => counted == *macs,
            Macs::About(macs, unit) => counted.abs_diff(*macs) <= unit / 2,
            Macs::Unpublished => true,
        };
        if row["params"] != *params || !right {
            wrong.push(format!("{name}: {params} parameters and {macs:?} are published, not {row}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// All figures are stated; and a variant is a few lines on a base.
#[test]
fn specs_state_their_figures_and_variants_are_short() {
    for row in verified() {
        assert_eq!(row["expect"], serde_json::json!(["params", "macs", "output"]), "{row}");
        let file = row["file"].as_str().expect("a path");
        let text = std::fs::read_to_string(Path::new(file)).expect("readable");
        if file.contains("/variants/") {
            assert!(text.lines().any(|line| line.starts_with("extends: ")), "{file} stands alone");
            assert!(text.lines().count() <= 15, "{file} has {} lines", text.lines().count());
        }
        assert!(text.lines().count() <= 25, "{file} has {} lines", text.lines().count());
    }
}
