//! A step allocates nothing, whatever it computes: all memory is placed before the first.
//!
//! The only test of its binary: the counter sees every thread of the process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use resnetc_compiler::ir::graph::Mode;
use resnetc_runtime::cpu::CpuDevice;
use resnetc_runtime::exec::Executor;
use resnetc_runtime::exec::RunArgs;
use resnetc_runtime::init;
use resnetc_tests::specs::{EVERYTHING, plan, resolve};

/// Counts what is allocated while [`COUNTING`].
struct Counting;

static COUNTING: AtomicBool = AtomicBool::new(false);
static COUNT: AtomicUsize = AtomicUsize::new(0);

fn count() {
    if COUNTING.load(Ordering::Relaxed) {
        COUNT.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: everything is the system allocator's; counting touches no memory but its own.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.realloc(ptr, layout, size) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn executor(mode: Mode) -> Executor {
    let spec = resolve(EVERYTHING);
    let weights = init::initial(&plan(&spec, Mode::Train, 1), 1).expect("initial weights");
    let device = Arc::new(CpuDevice::new(Some(2)).expect("two threads"));
    let executor = Executor::new(device, plan(&spec, mode, 4)).expect("it loads");
    executor.load_params(&weights).expect("its own weights");
    executor
}

#[test]
fn steps_allocate_nothing() {
    // The counter counts.
    COUNTING.store(true, Ordering::Relaxed);
    drop(std::hint::black_box(vec![1u8; 100]));
    COUNTING.store(false, Ordering::Relaxed);
    assert!(COUNT.swap(0, Ordering::Relaxed) >= 1);

    for mode in [Mode::Infer, Mode::Train] {
        let mut executor = executor(mode);
        let images = vec![0.5; 4 * 3 * 24 * 24];
        for step in 0..3 {
            executor.set_input_nhwc(0, &images).expect("four images");
            if mode == Mode::Train {
                executor.set_labels(0, &[1, 2, 3, 4]).expect("four classes");
            }
            let args = RunArgs { lr: 0.01, seed: 3, step, ..RunArgs::default() };
            COUNTING.store(true, Ordering::Relaxed);
            let result = executor.run(0, &args, None);
            COUNTING.store(false, Ordering::Relaxed);
            result.expect("it runs");
            assert_eq!(COUNT.swap(0, Ordering::Relaxed), 0, "{mode:?}, step {step}");
        }
    }
}
