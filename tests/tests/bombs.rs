//! Small texts that ask for much: each is refused, says what raises the limit, and takes little memory until then. The
//! heap is counted by this binary's allocator; how long the program takes is measured in `benches/NOTES.md`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Error, ErrorKind};

use resnetc_compiler::compile;
use resnetc_compiler::diagnostic::render;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::report::Target;
use resnetc_compiler::source::SourceMap;
use resnetc_compiler::spec::limits::Limits;
use resnetc_compiler::spec::{self, Request};

/// Counts what each thread holds, and the most it has held.
struct Counting;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

fn count(more: usize, less: usize) {
    let held = HELD.get().wrapping_add(more).wrapping_sub(less);
    HELD.set(held);
    // What another thread has allocated and this one frees makes the count wrap around.
    if held < usize::MAX / 2 {
        PEAK.set(PEAK.get().max(held));
    }
}

// SAFETY: every method hands its arguments on to the system's allocator and returns what that returns. The counters are
// cells without destructors, which exist as long as their thread and allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller keeps to the contract of `GlobalAlloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: as above, and `ptr` came from `System`.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, layout.size());
        // SAFETY: as above, and `ptr` came from `System`.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Most bytes that a refusal may hold at one time, the text of the diagnostics included.
const MOST: usize = 40 << 20;

/// Runs something and gives the bytes that it held at most.
fn peak<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get();
    PEAK.set(before);
    let result = work();
    (result, PEAK.get() - before)
}

/// How the refusal of a text reads.
fn refusal(text: &str, limits: Limits, batch: usize) -> Option<String> {
    let mut sources = SourceMap::default();
    let none = |path: &str| Err(Error::new(ErrorKind::NotFound, path));
    let request = Request { name: "bomb.yaml", text, overrides: &[], read: &none, limits };
    let target = Target::new(Mode::Train, batch);
    let result = spec::load(&request, &mut sources).and_then(|spec| compile(&spec, &target));
    result.err().map(|faults| render(&faults, &sources, false, 100))
}

/// A spec with this stem and these stages of `unit`.
fn spec(stem: &str, stages: &str, unit: &str) -> String {
    format!(
        "name: bomb\ninput: [3, 32, 32]\nclasses: 10\nstem: {stem}\nunit: own\nunits:\n  own(f): |\n    {unit}\n\
         stages: [{stages}]\n"
    )
}

const ONE: &str = "{depth: 1, filters: 16}";
const PLAIN: &str = "out = x -> conv3x3(f) -> relu";

/// Ten levels of aliases, each of ten of the one before: 10^10 values in 700 bytes.
fn aliases() -> String {
    let level = |i: usize| {
        let of = if i == 0 { "x".to_owned() } else { format!("*a{}", i - 1) };
        format!("a{i}: &a{i} [{}]\n", [of.as_str(); 10].join(", "))
    };
    (0..10).map(level).collect()
}

/// Bindings that each use the one before.
fn names() -> String {
    (1..9000).fold("b0 = 1\n    ".to_owned(), |text, i| format!("{text}b{i} = b{}\n    ", i - 1))
}

/// Units that each have two faults.
fn wrong_units() -> String {
    let units = (0..8000).map(|i| format!("  u{i}(f): out = x -> rlu\n"));
    units.fold("stages: [{depth: 1, filters: 16}]\nunits:\n".to_owned(), |text, unit| text + &unit)
}

/// What asks for much, and what its refusal says. A limit's name with `=` is one that `--limit` raises.
fn bombs() -> Vec<(&'static str, String, &'static str)> {
    let squares: String = (0..40).map(|i| format!("a{} = a{i} * a{i}\n    ", i + 1)).collect();
    vec![
        ("bytes", format!("# {}\n", "x".repeat(300_000)), "bytes=N"),
        ("lists in lists", format!("stages: {}1{}", "[".repeat(50_000), "]".repeat(50_000)), "nesting=N"),
        ("lists under lists", format!("stages:\n  {}1", "- ".repeat(50_000)), "nesting=N"),
        ("maps in maps", format!("stages: {}1{}", "{a: ".repeat(20_000), "}".repeat(20_000)), "nesting=N"),
        ("aliases", aliases(), "values=N"),
        ("aliases of a long text", format!("a: &a {}\nb: [*a, *a, *a]\n", "x".repeat(200_000)), "bytes=N"),
        ("values", format!("stages: [{}]", "1,".repeat(60_000)), "values=N"),
        ("units of a stage", spec("relu", "{depth: 1e9, filters: 16}", PLAIN), "units=N"),
        (
            "units of all stages",
            spec("relu", &["{depth: 4000, filters: 16}"; 20].join(", "), PLAIN),
            "units=N",
        ),
        (
            "expressions",
            spec(
                "relu",
                "{depth: 4096, filters: 16}",
                &format!("out = x -> conv3x3(f{})", " + 1".repeat(2000)),
            ),
            "expressions=N",
        ),
        (
            "nodes",
            spec(
                "relu",
                "{depth: 4000, filters: 16}",
                &format!("out = x{} -> conv3x3(f)", " -> relu".repeat(40)),
            ),
            "nodes=N",
        ),
        (
            "nodes of a stem",
            spec(&["relu"; 36_000].join("->"), "{depth: 4000, filters: 16}", PLAIN),
            "nodes=N",
        ),
        ("parameters", spec("relu", "{depth: 2, filters: 1_000_000}", PLAIN), "parameters=N"),
        ("parameters of many units", spec("relu", "{depth: 4096, filters: 16_000}", PLAIN), "parameters=N"),
        (
            "activations",
            spec("conv3x3(1_000_000)", "{depth: 1, filters: 1}", PLAIN).replace("32, 32", "16384, 16384"),
            "activations=N",
        ),
        (
            "a power",
            spec("relu", ONE, &format!("a0 = 10\n    {squares}out = x -> conv3x3(f * a40)")),
            "no value",
        ),
        ("a product", spec(&format!("conv3x3(1e300{})", " * 1e300".repeat(9000)), ONE, PLAIN), "no value"),
        ("a number", spec("conv3x3(1e18)", ONE, PLAIN), "conv3x3"),
        ("digits", spec(&format!("conv3x3({})", "9".repeat(100_000)), ONE, PLAIN), "too long"),
        ("a name", spec("relu", ONE, &format!("{} = 1", "y".repeat(100_000))), "too long"),
        ("brackets", spec(&format!("conv3x3({}16", "(".repeat(100_000)), ONE, PLAIN), "nested too deeply"),
        (
            "minus signs",
            spec(&format!("conv3x3({}16)", "-".repeat(100_000)), ONE, PLAIN),
            "nested too deeply",
        ),
        (
            "minus signs between comments",
            spec(
                "relu",
                ONE,
                &format!("a ={}\n    1\n    out = x -> conv3x3(a * f)", "\n    - # -".repeat(9000)),
            ),
            "nested too deeply",
        ),
        ("faults of a long line", spec(&["rlu"; 30_000].join(" -> "), ONE, PLAIN), "and 900 more"),
        ("names", spec("relu", ONE, &format!("{}out = x", names())), "too many names"),
        ("wrong units", wrong_units(), "unknown layer `rlu`"),
        ("keys", (0..9000).map(|i| format!("k{i}: 1\n")).collect(), "unknown key `k9`"),
    ]
}

#[test]
fn bombs_are_refused_in_little_memory() {
    let mut wrong = Vec::new();
    for (name, text, part) in bombs() {
        let (told, bytes) = peak(|| refusal(&text, Limits::default(), 1));
        let told = told.unwrap_or_default();
        println!("{name}: {bytes} bytes, told in {}", told.len());
        if !told.contains(part) || bytes > MOST || told.len() > 1 << 20 {
            let begin: String = told.chars().take(1000).collect();
            wrong.push(format!("{name}: {bytes} bytes, told in {}: {begin}", told.len()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_batch_that_no_memory_holds_is_refused() {
    let text = spec("relu", ONE, PLAIN);
    for batch in [1 << 40, 1 << 62, usize::MAX] {
        let (told, bytes) = peak(|| refusal(&text, Limits::default(), batch));
        assert!(told.is_some_and(|told| told.contains("too large")), "{batch}");
        assert!(bytes < MOST, "{bytes} bytes");
    }
}

/// Each limit is the one that refuses, and the next larger value takes what it refused.
#[test]
fn a_limit_that_is_raised_takes_more() {
    let text = spec("conv3x3(16)", "{depth: 3, filters: 16}", PLAIN);
    assert_eq!(refusal(&text, Limits::default(), 1), None);
    for name in Limits::names() {
        let with = |value: usize| {
            let mut limits = Limits::default();
            limits.set(&format!("{name}={value}")).expect("a right limit");
            refusal(&text, limits, 1)
        };
        let least = (0..20).map(|i| 1 << i).find(|&value| with(value).is_none());
        let told = with(1).unwrap_or_else(|| panic!("one is enough for {name}"));
        assert!(told.contains(&format!("{name}=N")), "{name}: {told}");
        assert!(least.is_some_and(|least| least > 1), "no value of {name} is enough");
    }
}
