//! Ways between ranks, and the watch over them: threads of one process, and processes that are killed.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use resnetc_runtime::ranks::{Options, Rendezvous, Transport, connect, local};
use resnetc_tests::again::only;
use resnetc_tests::ranks::{
    Connected, connected, free_place, launch, on_tcp, own_launch, say, signal, steps_until_a_fault, suite,
};

/// Longer than any test waits for a beat.
const PATIENT: Duration = Duration::from_secs(60);
/// In which a rank has to be heard of, where a test wants it not to be.
const SHORT: Duration = Duration::from_millis(1500);

#[test]
fn local_ranks_pass_the_suite() {
    for size in 1..=4 {
        std::thread::scope(|scope| {
            local(size).into_iter().for_each(|transport| drop(scope.spawn(move || suite(transport))));
        });
    }
}

#[test]
fn ranks_on_tcp_pass_the_suite_and_end() {
    for size in 1..=4 {
        let ended = on_tcp(size, PATIENT, |_, rank| {
            suite(rank.transport);
            rank.watch.end().is_ok() && rank.told.try_recv().is_err()
        });
        assert_eq!(ended, vec![true; size]);
    }
}

/// Exchanges until that fails.
fn error_of(transport: &mut dyn Transport) -> String {
    let mut all = vec![0; transport.size() * 1000];
    loop {
        if let Err(error) = transport.all_gather(&[1; 1000], &mut all) {
            return error.to_string();
        }
    }
}

#[test]
fn a_rank_that_goes_midway_is_named_by_a_transport_alone() {
    let errors = std::thread::scope(|scope| {
        let ranks = local(3).into_iter().map(|mut transport| {
            scope.spawn(move || if transport.rank() == 2 { String::new() } else { error_of(&mut *transport) })
        });
        let ranks: Vec<_> = ranks.collect();
        ranks.into_iter().map(|rank| rank.join().expect("a rank")).collect::<Vec<_>>()
    });
    assert_eq!(errors[..2], ["rank 2 has gone", "rank 2 has gone"].map(String::from));
}

/// What each rank but the last tells and fails with, when the last does that in step 7.
fn faults_of(size: usize, silence: Duration, last: impl Fn(Connected) + Sync) -> Vec<[String; 2]> {
    on_tcp(size, silence, |rank, mut connected| {
        connected.pulse.step(7);
        if rank + 1 == size {
            // Until its step was told.
            std::thread::sleep(Duration::from_millis(1300));
            last(connected);
            return [String::new(), String::new()];
        }
        connected.pulse.waits(true);
        let error = error_of(&mut *connected.transport);
        let told = connected.told.recv_timeout(Duration::from_secs(10)).expect("the watch tells");
        connected.watch.fail(&error);
        assert!(connected.exited.try_recv().is_err(), "who ends by itself is not ended");
        [told, error]
    })
}

#[test]
fn a_rank_that_dies_is_named_with_its_step_by_all() {
    let found = faults_of(3, PATIENT, drop);
    for [told, error] in &found[..2] {
        assert!(
            told.starts_with("rank 2 of 3 on ") && told.contains(", last heard in step 7, has ended"),
            "{told}"
        );
        assert!(told.contains("`--resume`"), "{told}");
        assert_eq!(told, error, "the transport has the watch's words");
    }
}

#[test]
fn a_rank_that_fails_tells_the_others_why() {
    for [told, error] in &faults_of(3, PATIENT, |rank| rank.watch.fail("a.png: cut off"))[..2] {
        assert!(
            told.starts_with("rank 2 of 3 on ") && told.contains(", in step 7, failed: a.png: cut off\n"),
            "{told}"
        );
        assert_eq!(told, error);
    }
}

#[test]
fn a_rank_that_hangs_is_told_from_those_that_wait() {
    let found = faults_of(3, SHORT, |rank| {
        let begun = Instant::now();
        let told = rank.told.recv_timeout(Duration::from_secs(20)).expect("it hears of itself");
        assert!(told.contains("rank 2 of 3") && begun.elapsed() < Duration::from_secs(10), "{told}");
        // Its main thread is stuck: the watch ends the process.
        rank.exited.recv_timeout(Duration::from_secs(5)).expect("it is ended");
    });
    for [told, error] in &found[..2] {
        assert!(
            told.contains("last heard in step 7, does nothing for 1.5 s and waits for no other rank"),
            "{told}"
        );
        assert_eq!(told, error);
    }
}

#[test]
fn waiting_long_is_no_fault() {
    let ended = on_tcp(2, SHORT, |rank, connected| {
        connected.pulse.step(1);
        if rank == 0 {
            connected.pulse.waits(true);
            std::thread::sleep(3 * SHORT);
        } else {
            for _ in 0..30 {
                connected.pulse.beat();
                std::thread::sleep(SHORT / 10);
            }
        }
        drop(connected.transport);
        connected.watch.end().map_err(|error| error.to_string())
    });
    assert_eq!(ended, [Ok(()), Ok(())]);
}

#[test]
fn strangers_and_ranks_of_other_trainings_are_refused() {
    let place = free_place();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| connected(&launch(0, 2, &place), PATIENT).map(drop));
        // Retries until rank 0 listens, which tells it why not.
        let other = connected(&launch(1, 3, &place), PATIENT).err().expect("another training").to_string();
        assert!(other.contains("its WORLD_SIZE is 3, rank 0's is 2"), "{other}");
        let mut stranger = TcpStream::connect((&*place.host, place.port)).expect("it listens");
        stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("sent");
        let second = connected(&launch(1, 2, &place), PATIENT);
        assert!(first.join().expect("rank 0").is_ok() && second.is_ok());
    });
}

#[test]
fn who_does_not_come_is_named_on_all_ranks() {
    let place = free_place();
    let errors = std::thread::scope(|scope| {
        let ranks = [0, 2].map(|rank| {
            let place = &place;
            scope.spawn(move || {
                let options = Options { meet: Duration::from_secs(2), ..Options::new(|_| {}, || {}) };
                let connected = connect(&launch(rank, 4, place), options, Arc::default());
                connected.err().expect("two ranks are missing").to_string()
            })
        });
        ranks.map(|rank| rank.join().expect("a rank"))
    });
    for error in errors {
        let expected = format!("rank 0 waited 2 s at 127.0.0.1:{} for ranks 1, 3 of 4\n", place.port);
        assert!(error.starts_with(&expected) && error.contains("WORLD_SIZE=4"), "{error}");
    }
}

/// One rank of [`killed`], in a process of its own.
#[test]
#[ignore = "a rank of another test's, which starts it"]
fn rank_in_a_process() {
    let launch = own_launch();
    let rank = connected(&launch, SHORT).expect("ranks meet");
    say(&format!("told: {}", steps_until_a_fault(rank, &launch)));
}

/// Starts three ranks as processes, and sends one a signal when all make steps. What the others say.
fn killed(victim: usize, name: &str) -> Vec<String> {
    let place = free_place();
    let mut ranks: Vec<Child> = (0..3).map(|rank| process(rank, 3, &place)).collect();
    let mut outputs: Vec<_> = ranks
        .iter_mut()
        .map(|rank| BufReader::new(rank.stdout.take().expect("a pipe")).lines().map_while(Result::ok))
        .collect();
    for output in &mut outputs {
        assert!(output.any(|line| line.contains("is process")), "all ranks make steps");
    }
    signal(name, ranks[victim].id());
    let begun = Instant::now();
    let others = outputs.iter_mut().enumerate().filter(|(rank, _)| *rank != victim);
    let told = others.map(|(_, output)| {
        output.find_map(|line| line.strip_prefix("told: ").map(str::to_owned)).expect("every rank tells")
    });
    let told = told.collect();
    assert!(begun.elapsed() < Duration::from_secs(30), "all end in 30 s");
    drop(ranks[victim].kill());
    for mut rank in ranks {
        rank.wait().expect("it ended");
    }
    told
}

fn process(rank: usize, size: usize, place: &Rendezvous) -> Child {
    only(module_path!(), "rank_in_a_process")
        .envs([("RANK", rank.to_string()), ("WORLD_SIZE", size.to_string())])
        .envs([("MASTER_ADDR", place.host.clone()), ("MASTER_PORT", place.port.to_string())])
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process")
}

#[test]
fn a_process_that_is_killed_is_named_by_all_ten_times() {
    for round in 0..10 {
        let victim = round % 3;
        for told in killed(victim, "KILL") {
            let expected = format!("rank {victim} of 3 on ");
            assert!(
                told.starts_with(&expected)
                    && told.contains(", last heard in step 7, has ended without a word"),
                "{told}"
            );
        }
    }
}

#[test]
fn a_process_that_is_stopped_is_named_by_all() {
    for victim in 0..2 {
        for told in killed(victim, "STOP") {
            let expected = format!("rank {victim} of 3 on ");
            assert!(
                told.starts_with(&expected) && told.contains("last heard in step 7, is not heard for 1.5 s"),
                "{told}"
            );
        }
    }
}
