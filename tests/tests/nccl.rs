//! What is asked of NCCL, by a stand-in that moves bytes between threads and checks its arguments; emulated GPUs stand behind it. What NCCL
//! itself does on GPUs is not here.

#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use half::bf16;
use resnetc_compiler::ir::types::DType;
use resnetc_runtime::cuda::collectives::{AllGather, AllReduce, Collective as Asked, received_bytes};
use resnetc_runtime::cuda::communicator::{Communicator, Piece, Span, Stream};
use resnetc_runtime::cuda::driver::{Driver, Fill};
use resnetc_runtime::cuda::emulated::{Choices, Emulated};
use resnetc_runtime::cuda::launch::Call;
use resnetc_runtime::cuda::nccl::{Library, Nccl};
use resnetc_runtime::error::Error;
use resnetc_runtime::ranks::{Collective, Fault};
use resnetc_tests::emulated::{Threads, driver};
use resnetc_tests::rng::Rng;
use resnetc_tests::together::on_ranks;

/// The stand-in, compiled once.
static STAND_IN: LazyLock<PathBuf> = LazyLock::new(|| compiled(&[]));

fn compiled(defines: &[&str]) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("nccl/stand_in.c");
    let name = format!("libnccl-{}{}.so", std::process::id(), defines.concat());
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-pthread", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&library);
    let output = compiler.args(defines).arg(source).output().expect("a C compiler, as Rust's linker is one");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    library
}

fn nccl(ranks: Arc<Collective>) -> Nccl {
    let library = Library::open(&STAND_IN).expect("it has all functions");
    Nccl::connect(library, ranks).expect("all ranks come")
}

fn gpu() -> Emulated {
    driver(Path::new(env!("CARGO_TARGET_TMPDIR")), Threads::Fibers, Choices::default())
}

/// Elements of a bucket on a rank.
fn values(rank: usize, len: usize) -> Vec<f32> {
    let mut rng = Rng::new(rank as u64 + 1);
    (0..len).map(|_| rng.range(0, 2000) as f32 / 700.0 - 1.0).collect()
}

/// What two buckets come to that are summed at the same time, and a vector that is gathered in between.
fn summed(gpu: &Emulated, rank: usize, ranks: usize, len: usize) -> [Vec<u8>; 3] {
    let own = values(rank, len);
    let narrow: Vec<bf16> = own.iter().map(|&value| bf16::from_f32(value)).collect();
    let wide: Vec<u8> = own.iter().flat_map(|value| value.to_ne_bytes()).collect();
    let narrow: Vec<u8> = narrow.iter().flat_map(|value| value.to_ne_bytes()).collect();
    let buckets = [&wide, &narrow];
    let memory = buckets.map(|bytes| gpu.allocate(bytes.len(), Fill::Anything).expect("memory"));
    let received = gpu.allocate(received_bytes(len, DType::F32, ranks), Fill::Anything).expect("memory");
    let all = gpu.allocate(4 * ranks, Fill::Anything).expect("memory");
    let vector = gpu.allocate(4, Fill::Anything).expect("memory");
    memory
        .iter()
        .zip(buckets)
        .for_each(|(memory, bytes)| gpu.upload(memory.address, bytes).expect("it fits"));
    gpu.upload(vector.address, &(rank as f32).to_ne_bytes()).expect("it fits");
    let sum = |bucket: usize, element| {
        let (at, received) = (memory[bucket].address, received.address);
        Call::Collective(Asked::AllReduce(AllReduce { bucket, at, len, element, received }))
    };
    let gathered = AllGather { own: vector.address, all: all.address, bytes: 4 };
    let calls = [
        sum(0, DType::F32),
        sum(1, DType::Bf16),
        Call::Collective(Asked::AllGather(gathered)),
        Call::Collective(Asked::AllReduceWait(1)),
        Call::Collective(Asked::AllReduceWait(0)),
    ];
    gpu.play(&calls).expect("all ranks are there");
    [&memory[0], &memory[1], &all].map(|memory| {
        let mut bytes = vec![0; memory.bytes];
        gpu.download(memory.address, &mut bytes).expect("it is there");
        bytes
    })
}

#[test]
fn sums_are_those_of_all_ranks_in_their_order_whatever_moves_the_bytes() {
    for (ranks, len) in [(2, 1000), (3, 37), (4, 8), (3, 1)] {
        let found = on_ranks(ranks, |ranks| {
            let (rank, count, ranks) = (ranks.rank(), ranks.size(), Arc::new(ranks));
            let by_host = summed(&gpu().with_ranks(Arc::clone(&ranks)), rank, count, len);
            let by_nccl = gpu().with_communicator(Arc::new(nccl(ranks)));
            assert_eq!((by_nccl.ranks(), summed(&by_nccl, rank, count, len)), (count, by_host.clone()));
            by_host
        });
        let all: Vec<Vec<f32>> = (0..ranks).map(|rank| values(rank, len)).collect();
        let round = |value: f32| bf16::from_f32(value);
        let sum = |i: usize, of: &dyn Fn(f32) -> f32| all.iter().fold(0.0, |sum, own| sum + of(own[i]));
        let wide: Vec<u8> = (0..len).flat_map(|i| sum(i, &|x| x).to_ne_bytes()).collect();
        let narrow = |i| round(sum(i, &|x| round(x).to_f32())).to_ne_bytes();
        let narrow: Vec<u8> = (0..len).flat_map(narrow).collect();
        let vectors: Vec<u8> = (0..ranks).flat_map(|rank| (rank as f32).to_ne_bytes()).collect();
        for own in found {
            assert_eq!(own, [wide.clone(), narrow.clone(), vectors.clone()], "{ranks} ranks, {len} elements");
        }
    }
}

/// What the plan's check holds of steps, the emulation sees of calls.
#[test]
fn a_bucket_that_is_written_while_it_is_summed_is_found() {
    let told = on_ranks(2, |ranks| {
        let gpu = gpu().with_ranks(Arc::new(ranks));
        let [at, received] = [64, received_bytes(16, DType::F32, 2)]
            .map(|bytes| gpu.allocate(bytes, Fill::Zeros).expect("memory"));
        let sum =
            AllReduce { bucket: 3, at: at.address, len: 16, element: DType::F32, received: received.address };
        gpu.play(&[Call::Collective(Asked::AllReduce(sum))]).expect("all ranks are there");
        gpu.upload(at.address + 32, &1.0f32.to_ne_bytes()).expect("it fits");
        let wait = [Call::Collective(Asked::AllReduceWait(3))];
        let [written, unknown] = [(); 2].map(|()| gpu.play(&wait).expect_err("refused").to_string());
        assert!(unknown.contains("was not begun"), "{unknown}");
        written
    });
    assert!(told.iter().all(|text| text.contains("bucket 3 was written while it was summed")), "{told:?}");
}

#[test]
fn a_rank_that_goes_ends_what_waits_for_it() {
    let told = on_ranks(2, |ranks| {
        let (rank, fault) = (ranks.rank(), Arc::new(Fault::default()));
        let nccl = nccl(Arc::new(ranks.watched(&fault)));
        if rank == 1 {
            // It never sends, and somebody who watches it finds that.
            std::thread::sleep(Duration::from_millis(500));
            return None;
        }
        let mut bytes = [0u8; 64];
        let address = bytes.as_mut_ptr().expose_provenance() as u64;
        let span = |first: u64| Span { address: address + first, bytes: 32 };
        let piece = Piece { peer: 1, sent: span(0), received: span(32) };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(50));
                fault.set("rank 1 of 2 on b, last heard in step 7, has ended")
            });
            let start = Instant::now();
            let error = nccl.exchange(&[piece], Stream(0)).expect_err("the other one does not come");
            assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
            // Nothing is begun any more.
            assert!(nccl.check().is_err() && nccl.exchange(&[piece], Stream(0)).is_err());
            Some(error)
        })
    });
    assert!(matches!(&told[0], Some(Error::Ranks(text)) if text.starts_with("rank 1 of 2 on b")), "{told:?}");
}

#[test]
fn what_nccl_says_is_told() {
    let told = on_ranks(2, |ranks| {
        let rank = ranks.rank();
        let nccl = nccl(Arc::new(ranks));
        let mut bytes = [0u8; 64];
        let address = bytes.as_mut_ptr().expose_provenance() as u64;
        // They do not expect as much as they are sent.
        let span = |first: u64, bytes| Span { address: address + first, bytes };
        let piece = Piece { peer: 1 - rank, sent: span(0, 32), received: span(32, 16) };
        nccl.exchange(&[piece], Stream(0)).expect_err("they do not fit").to_string()
    });
    assert!(told.contains(&"NCCL: what ranks send each other: invalid argument".to_owned()), "{told:?}");
}

#[test]
fn a_library_without_a_function_is_refused_by_its_file() {
    let error = Library::open(&compiled(&["-DncclCommFinalize=older"])).err().expect("a function is missing");
    let text = error.to_string();
    assert!(text.contains("libnccl-") && text.contains("ncclCommFinalize"), "{text}");
}
