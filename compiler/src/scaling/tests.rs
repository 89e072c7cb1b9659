use super::*;
use crate::ir::graph::Mode;
use crate::report::Target;
use crate::source::SourceMap;
use crate::spec::{Request, limits::Limits, load};

/// A small network's plan.
fn plan(train: &str, ranks: usize) -> Plan {
    let text = format!(
        "name: small\ninput: [3, 8, 8]\nclasses: 4\nunit: basic\nstem: conv3x3(8) -> bn -> relu\nstages:\n  - {{depth: 1, filters: 8}}\n  - {{depth: 1, filters: 16, stride: 2}}\nhead: global_avgpool -> linear(classes)\ntrain: {{{train}}}\n"
    );
    let none = |path: &str| Err(std::io::Error::other(path.to_string()));
    let request =
        Request { name: "small.yaml", text: &text, overrides: &[], read: &none, limits: Limits::default() };
    let spec = load(&request, &mut SourceMap::default()).expect("a right spec");
    crate::compile(&spec, &Target { ranks, ..Target::new(Mode::Train, 2) }).expect("a right spec").plan
}

/// Of a link that delays nothing.
fn link(bytes_per_second: f64) -> Link {
    Link { bytes_per_second, latency: 0.0, message: 0.0 }
}

#[test]
fn links_are_read_as_people_write_them() {
    let read =
        |text: &str| text.parse::<Link>().map(|link| [link.bytes_per_second, link.latency, link.message]);
    assert_eq!(read("25Gbit"), Ok([3.125e9, LATENCY, MESSAGE]));
    assert_eq!(read("100 mbit/s"), Ok([12.5e6, LATENCY, MESSAGE]));
    assert_eq!(read("450GB/s, 2us"), Ok([450e9, 2.0 * 1e-6, MESSAGE]));
    assert_eq!(read("1Tbit,0us,0us"), Ok([125e9, 0.0, 0.0]));
    assert_eq!(read("1Gbps,1.5ms,10µs"), Ok([125e6, 1.5e-3, 10.0 * 1e-6]));
    for wrong in [
        "",
        "25",
        "Gbit",
        "0Gbit",
        "-1Gbit",
        "25Gbit,",
        "25Gbit,5",
        "25Gbit,1us,1us,1us",
        "25GB",
        "1.2.3Gbit",
    ] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
    assert_eq!(
        Link::new(3.125e9).to_string(),
        "3.125 GB/s each way, 30 µs until a message is there, 5 µs to send one"
    );
}

#[test]
fn times_have_units() {
    let read = ["250ms", "1.5 s", "30us", "7µs"].map(seconds);
    assert_eq!(read, [Some(250.0 * 1e-3), Some(1.5), Some(30.0 * 1e-6), Some(7.0 * 1e-6)]);
    assert_eq!(["250", "ms", "-1s", "1h"].map(seconds), [None; 4]);
}

/// On a link whose times are round numbers.
#[test]
fn a_sum_is_hidden_as_long_as_there_is_something_to_compute() {
    let plan = plan("optimizer: sgd", 2);
    let sums = plan.reductions();
    let bytes: usize = sums.iter().map(|sum| sum.bytes).sum();
    // Seconds of the steps of those numbers.
    let times = |own: &[(usize, f64)]| -> Vec<f64> {
        computing(&plan)
            .map(|(index, _)| own.iter().find(|(of, _)| *of == index).map_or(0.0, |(_, time)| *time))
            .collect()
    };
    // Two ranks send half of the bytes to each other, twice: 4 s.
    let link = link(bytes as f64 / 4.0);
    let behind = predict(&plan, &times(&[(0, 1.0)]), link);
    let shares = link.exchange(2, SHARES);
    assert!((behind.sending - 4.0 - shares).abs() < 1e-9, "{behind:?}");
    assert_eq!((behind.compute, behind.sent), (1.0, bytes + SHARES));
    assert!((behind.seconds - 5.0 - shares).abs() < 1e-9 && behind.hidden() < 1e-9, "{behind:?}");
    // Three seconds beside the first one hide as much of it; the others begin behind them.
    let first = sums.first().expect("there are gradients");
    let between = (first.begins..first.awaited).find(|&index| !sends(&plan.steps[index]));
    let beside = predict(&plan, &times(&[(0, 1.0), (between.expect("something to compute"), 3.0)]), link);
    let alone = link.sum(2, first.bytes);
    assert!((beside.seconds - (1.0 + alone.max(3.0) + (4.0 - alone) + shares)).abs() < 1e-9, "{beside:?}");
    assert!((beside.waiting - (behind.waiting - alone.min(3.0))).abs() < 1e-9, "{beside:?}");
    // What comes behind the update does not help.
    let later = predict(&plan, &times(&[(0, 1.0), (plan.steps.len() - 1, 3.0)]), link);
    assert!((later.seconds - behind.seconds - 3.0).abs() < 1e-9);
}

#[test]
fn who_is_alone_sends_nothing_and_more_ranks_wait_longer() {
    for train in [
        "optimizer: muon",
        "accumulate: 2",
        "parallel: {sync_bn: true, gradients: bf16}",
        "parallel: {shard_optimizer: true}",
    ] {
        let times = spread(&plan(train, 2), 0.5, 8.0);
        let link = Link { latency: 1e-4, message: 1e-5, ..link(1e6) };
        let of = |ranks| predict(&plan(train, ranks), &times, link);
        if !train.contains("parallel") {
            assert_eq!((of(1).sending, of(1).sent, of(1).efficiency()), (0.0, 0, 1.0), "{train}");
        }
        let mut before = of(2);
        for ranks in [3, 4, 64, 1024] {
            let now = of(ranks);
            assert!(now.seconds > before.seconds && now.sent >= before.sent, "{train}: {before:?} {now:?}");
            assert!(
                now.waiting <= now.sending + 1e-9 && (now.compute - 0.5).abs() < 1e-9,
                "{train}: {now:?}"
            );
            assert!((now.seconds - now.compute - now.waiting).abs() < 1e-9, "{train}: {now:?}");
            before = now;
        }
    }
}

#[test]
fn narrow_gradients_are_sent_in_half_the_time() {
    let [wide, narrow] = ["f32", "bf16"].map(|wire| {
        let plan = plan(&format!("parallel: {{gradients: {wire}}}"), 2);
        predict(&plan, &spread(&plan, 1.0, 8.0), link(1e6))
    });
    assert_eq!(wide.sent - SHARES, 2 * (narrow.sent - SHARES));
}

#[test]
fn parameters_that_ranks_update_in_parts_are_sent_besides() {
    let [whole, parts] = [false, true].map(|shard| {
        let plan = plan(&format!("parallel: {{shard_optimizer: {shard}}}"), 4);
        predict(&plan, &spread(&plan, 1.0, 8.0), link(1e6)).sent - SHARES * 3
    });
    // Of gradients each rank sends its parts and its sums; of parameters what it has updated. But for what aligns them.
    let ratio = parts as f64 / whole as f64;
    assert!((1.5..1.55).contains(&ratio), "{parts} of {whole}");
}
