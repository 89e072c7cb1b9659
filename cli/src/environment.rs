//! The environment variables that the program obeys. Nothing else in the workspace reads any.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use resnetc::EMULATES_GPUS;
use resnetc::download::{Downloads, Hub, Token};
use resnetc_runtime::cpu::memory::{Side, guard_memory};
use resnetc_runtime::cpu::simd::Isa;
use resnetc_runtime::cuda::search::{Root, Search};
use resnetc_runtime::files::read_text;
use resnetc_runtime::ranks::Launch;

use crate::failure::{Failure, Result};

/// Forces an instruction set: `amx`, `avx512bf16`, `avx512`, `avx2`, `neon` or `portable`.
const ISA: &str = "RESNETC_ISA";
/// Names the folder of measurements, or says `off`.
pub const TUNING: &str = "RESNETC_TUNING";
/// Names the folder of data sets.
const DATA: &str = "RESNETC_DATA";
/// Asks for guard pages around the CPU device's memory: `after` or `before`.
const GUARD: &str = "RESNETC_GUARD";

/// Names the folders that CUDA's libraries are looked for in, and no others.
const CUDA: &str = "RESNETC_CUDA";
/// Names the folder of cuDNN's plans.
const PLANS: &str = "RESNETC_PLANS";
/// Asks a GPU to be waited for after each step of a plan, so that one which fails is named: `1`.
const CHECK_STEPS: &str = "RESNETC_CHECK_STEPS";
/// Names the library of kernels that stands for a GPU, for tests: read in builds with the feature `cuda-emulated` alone.
const EMULATED: &str = "RESNETC_CUDA_EMULATED";
/// Name the locale, whose encoding is that of the terminal, in the order in which POSIX has them count.
const LOCALES: [&str; 3] = ["LC_ALL", "LC_CTYPE", "LANG"];
/// Names an address that has torchvision's files of weights, instead of PyTorch's own.
const MIRROR: &str = "RESNETC_TORCHVISION_URL";
/// What Hugging Face's programs obey too.
const HUB: [&str; 6] =
    ["HF_HUB_CACHE", "HF_HOME", "HF_ENDPOINT", "HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE"];
/// Most bytes of a file with a token.
const TOKEN_BYTES: u64 = 4096;
/// Name installations of CUDA's toolkit, in the order in which they are asked.
const TOOLKITS: [&str; 2] = ["CUDA_PATH", "CUDA_HOME"];
/// Name installations of Python.
const PYTHONS: [&str; 2] = ["VIRTUAL_ENV", "CONDA_PREFIX"];

/// The variables' values; one that is set to nothing counts as not set, but for [`ISA`].
#[derive(Debug, Clone, Default)]
pub struct Environment {
    isa: Option<OsString>,
    tuning: Option<OsString>,
    data: Option<OsString>,
    guard: Option<OsString>,
    cache: Option<OsString>,
    home: Option<OsString>,
    cuda: Option<OsString>,
    plans: Option<OsString>,
    check_steps: Option<OsString>,
    emulated: Option<OsString>,
    mirror: Option<OsString>,
    hub: [Option<OsString>; 6],
    toolkits: [Option<OsString>; 2],
    pythons: [Option<OsString>; 2],
    path: Option<OsString>,
    no_color: bool,
    dumb: bool,
    locale: Option<OsString>,
    /// Of one that is alone where it is not there.
    launch: Option<std::result::Result<Launch, String>>,
}

impl Environment {
    /// Reads all of them.
    pub fn read() -> Self {
        let value = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let launcher = |name: &str| Some(value(name)?.to_string_lossy().into_owned());
        Environment {
            isa: std::env::var_os(ISA),
            tuning: value(TUNING),
            data: value(DATA),
            guard: value(GUARD),
            cache: value("XDG_CACHE_HOME"),
            home: value("HOME"),
            cuda: value(CUDA),
            plans: value(PLANS),
            check_steps: value(CHECK_STEPS),
            emulated: value(EMULATED).filter(|_| EMULATES_GPUS),
            mirror: value(MIRROR),
            hub: HUB.map(value),
            toolkits: TOOLKITS.map(value),
            pythons: PYTHONS.map(value),
            path: value("PATH"),
            no_color: value("NO_COLOR").is_some(),
            locale: LOCALES.into_iter().find_map(value),
            launch: Some(Launch::read(&launcher).map_err(|error| error.to_string())),
            dumb: value("TERM").is_some_and(|terminal| terminal == "dumb"),
        }
    }

    /// Which of how many ranks a launcher started this process as.
    pub fn launch(&self) -> Result<Launch> {
        self.launch.clone().unwrap_or(Ok(Launch::ALONE)).map_err(Failure::Usage)
    }

    /// Whether a terminal is to be coloured.
    pub fn colors(&self) -> bool {
        !self.no_color && !self.dumb
    }

    /// Whether a terminal can draw over what it shows.
    pub fn draws(&self) -> bool {
        !self.dumb
    }

    /// Whether a terminal shows more than ASCII: it does, unless its locale says otherwise.
    pub fn unicode(&self) -> bool {
        let encoding = |locale: &OsString| locale.to_string_lossy().to_lowercase().replace('-', "");
        self.locale.as_ref().is_none_or(|locale| encoding(locale).contains("utf8"))
    }

    /// The instruction set that kernels have to use.
    pub fn isa(&self) -> Result<Option<Isa>> {
        let Some(name) = &self.isa else { return Ok(None) };
        let isa = Isa::named(&name.to_string_lossy());
        isa.map(Some).map_err(|error| Failure::Failed(format!("{ISA}={error}")))
    }

    /// Where measurements are kept; none where that is not wanted, or no folder is known.
    pub fn tuning(&self) -> Option<PathBuf> {
        match &self.tuning {
            Some(folder) if folder == "off" => None,
            Some(folder) => Some(folder.into()),
            None => Some(self.cache()?.join("tuning")),
        }
    }

    /// Where data sets are.
    pub fn data(&self) -> Option<PathBuf> {
        self.data.as_ref().map(PathBuf::from)
    }

    /// What can be made anew is kept here: in `$XDG_CACHE_HOME/resnetc`, else in `~/.cache/resnetc`.
    pub fn cache(&self) -> Option<PathBuf> {
        let home = || self.home.as_ref().map(|home| PathBuf::from(home).join(".cache"));
        Some(self.cache.as_ref().map(PathBuf::from).or_else(home)?.join("resnetc"))
    }

    /// Where cuDNN's plans are kept, as `resnetc compile` writes them; none where no folder is known.
    pub fn plans(&self) -> Option<PathBuf> {
        self.plans.as_ref().map(PathBuf::from).or_else(|| Some(self.cache()?.join("plans")))
    }

    /// Where published weights are fetched from, and kept: torchvision's in the cache, those of Hugging Face's hub where its own
    /// programs keep them.
    pub fn downloads(&self) -> Downloads {
        let text =
            |value: &Option<OsString>| value.as_ref().map(|value| value.to_string_lossy().into_owned());
        let [cache, _, endpoint, token, token_file, offline] = &self.hub;
        let home = self.hub_home();
        let beside = |name: &str| home.as_ref().map(|home| home.join(name));
        let token_file = token_file.as_ref().map(PathBuf::from).or_else(|| beside("token"));
        let written = || read_text(token_file.as_ref()?, TOKEN_BYTES).ok();
        let token = text(token).or_else(written).map(|token| token.trim().to_owned());
        let yes = |value: String| ["1", "on", "yes", "true"].contains(&value.to_lowercase().as_str());
        Downloads {
            folder: self.cache().map(|cache| cache.join("weights")),
            mirror: text(&self.mirror),
            hub: Hub {
                cache: cache.as_ref().map(PathBuf::from).or_else(|| beside("hub")),
                endpoint: text(endpoint),
                token: token.filter(|token| !token.is_empty()).map(Token),
                offline: text(offline).is_some_and(yes),
            },
        }
    }

    /// The folder of Hugging Face's programs.
    fn hub_home(&self) -> Option<PathBuf> {
        let cache = || {
            self.cache
                .as_ref()
                .map(PathBuf::from)
                .or_else(|| Some(Path::new(self.home.as_ref()?).join(".cache")))
        };
        self.hub[1].as_ref().map(PathBuf::from).or_else(|| Some(cache()?.join("huggingface")))
    }

    /// Whether each step on a GPU is waited for.
    pub fn check_steps(&self) -> Result<bool> {
        match self.check_steps.as_ref().map(|value| value.to_str()) {
            None | Some(Some("0")) => Ok(false),
            Some(Some("1")) => Ok(true),
            Some(_) => Err(Failure::Failed(format!(
                "{CHECK_STEPS} is {:?}: `1` waits for each step on a GPU, `0` does not",
                self.check_steps.clone().unwrap_or_default()
            ))),
        }
    }

    /// What stands for a GPU.
    pub fn emulated(&self) -> Option<PathBuf> {
        self.emulated.as_ref().map(PathBuf::from)
    }

    /// Where CUDA's libraries are looked for.
    pub fn cuda(&self) -> Search {
        let root = |path: PathBuf, named_by| Root { path, named_by };
        let only = self.cuda.iter().flat_map(std::env::split_paths).map(|path| root(path, CUDA));
        let named = |values: &[Option<OsString>; 2], names: [&'static str; 2]| -> Vec<Root> {
            let pairs = values.iter().zip(names);
            pairs.filter_map(|(value, name)| Some(root(value.as_ref()?.into(), name))).collect()
        };
        let mut pythons = named(&self.pythons, PYTHONS);
        pythons.extend(self.pythons_in_path().into_iter().map(|path| root(path, "python in PATH")));
        pythons.extend(
            self.home.iter().map(|home| root(Path::new(home).join(".local"), "packages of the user")),
        );
        Search { only: only.collect(), toolkits: named(&self.toolkits, TOOLKITS), pythons }
    }

    /// Installations of the Pythons that can be called: `/usr` of `/usr/bin/python3`, and what that is a link to.
    fn pythons_in_path(&self) -> Vec<PathBuf> {
        let folders = self.path.iter().flat_map(std::env::split_paths);
        let programs = folders.flat_map(|folder| ["python3", "python"].map(|name| folder.join(name)));
        let prefix = |program: &Path| Some(program.parent()?.parent()?.to_owned());
        let mut prefixes = Vec::new();
        for program in programs.filter(|program| program.is_file()) {
            let followed = program.canonicalize().ok().and_then(|program| prefix(&program));
            for root in prefix(&program).into_iter().chain(followed) {
                if !prefixes.contains(&root) {
                    prefixes.push(root);
                }
            }
        }
        prefixes
    }

    /// Guards the CPU device's memory if that was asked for.
    pub fn guard(&self) -> Result {
        let Some(value) = &self.guard else { return Ok(()) };
        match value.to_str() {
            Some("before") => guard_memory(Side::Before),
            Some("after") => guard_memory(Side::After),
            _ => return Err(Failure::Failed(format!("{GUARD} is {value:?}: `before` or `after`"))),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_are_where_the_desktop_keeps_them() {
        let home = Environment { home: Some("/home/me".into()), ..Environment::default() };
        assert_eq!(home.cache(), Some("/home/me/.cache/resnetc".into()));
        let named = Environment { cache: Some("/cache".into()), ..home };
        assert_eq!(named.tuning(), Some("/cache/resnetc/tuning".into()));
        assert_eq!(Environment::default().cache(), None);
    }

    #[test]
    fn terminals_show_more_than_ascii_unless_their_locale_says_otherwise() {
        let with =
            |locale: &str| Environment { locale: Some(locale.into()), ..Environment::default() }.unicode();
        assert!(Environment::default().unicode() && with("C.UTF-8") && with("de_DE.utf8"));
        assert!(!with("C") && !with("de_DE.ISO-8859-1"));
    }

    #[test]
    fn measurements_can_be_kept_elsewhere_or_nowhere() {
        let with = |tuning: &str| Environment { tuning: Some(tuning.into()), ..Environment::default() };
        assert_eq!(with("here").tuning(), Some("here".into()));
        assert_eq!(Environment { home: Some("/home/me".into()), ..with("off") }.tuning(), None);
    }

    #[test]
    fn the_hub_is_where_its_own_programs_have_it() {
        let temporary = tempfile::tempdir().expect("a folder");
        let home = Environment { home: Some("/home/me".into()), ..Environment::default() };
        let downloads = home.downloads();
        assert_eq!(downloads.folder, Some("/home/me/.cache/resnetc/weights".into()));
        assert_eq!(downloads.hub.cache, Some("/home/me/.cache/huggingface/hub".into()));
        assert_eq!((downloads.hub.token, downloads.hub.offline), (None, false));
        std::fs::write(temporary.path().join("token"), "hf_of_file\n").expect("written");
        let named = |cache: Option<&str>, token: Option<&str>, offline: &str| {
            let word = |text: &str| Some(OsString::from(text));
            let hub = [
                cache.and_then(word),
                Some(temporary.path().into()),
                None,
                token.and_then(word),
                None,
                word(offline),
            ];
            Environment { hub, ..home.clone() }.downloads().hub
        };
        let hub = named(None, None, "TRUE");
        assert_eq!((hub.cache, hub.offline), (Some(temporary.path().join("hub")), true));
        assert_eq!(hub.token, Some(Token("hf_of_file".into())));
        let hub = named(Some("/c"), Some("hf_named"), "0");
        assert_eq!(
            (hub.cache, hub.token, hub.offline),
            (Some("/c".into()), Some(Token("hf_named".into())), false)
        );
    }

    #[cfg(unix)]
    #[test]
    fn cuda_is_looked_for_where_variables_say() {
        let temporary = tempfile::tempdir().expect("a folder");
        let bin = temporary.path().join("bin");
        std::fs::create_dir(&bin).expect("made");
        std::fs::write(bin.join("python3"), "").expect("written");
        let environment = Environment {
            toolkits: [None, Some("/opt/cuda".into())],
            pythons: [Some("/venv".into()), None],
            path: Some(std::env::join_paths([Path::new("/nothing"), &bin]).expect("no colon")),
            ..Environment::default()
        };
        let search = environment.cuda();
        assert_eq!(search.toolkits, [Root { path: "/opt/cuda".into(), named_by: "CUDA_HOME" }]);
        assert_eq!(search.pythons[0], Root { path: "/venv".into(), named_by: "VIRTUAL_ENV" });
        assert_eq!(search.pythons[1].path, temporary.path());
        let only = Environment { cuda: Some("/a:/b".into()), ..environment }.cuda().only;
        assert_eq!(
            only.iter().map(|root| root.path.as_path()).collect::<Vec<_>>(),
            [Path::new("/a"), Path::new("/b")]
        );
    }

    #[test]
    fn a_wrong_value_is_told_with_its_variable() {
        let wrong =
            Environment { isa: Some("sse9".into()), guard: Some("x".into()), ..Environment::default() };
        let Err(Failure::Failed(isa)) = wrong.isa() else { panic!("no such instructions") };
        assert_eq!(isa, "RESNETC_ISA=sse9: unknown; use amx, avx512bf16, avx512, avx2, neon or portable");
        let Err(Failure::Failed(guard)) = wrong.guard() else { panic!("no such side") };
        assert_eq!(guard, "RESNETC_GUARD is \"x\": `before` or `after`");
        let wrong = Environment { check_steps: Some("yes".into()), ..Environment::default() };
        let Err(Failure::Failed(steps)) = wrong.check_steps() else { panic!("no such value") };
        assert!(steps.starts_with("RESNETC_CHECK_STEPS is \"yes\""), "{steps}");
        let set = Environment { check_steps: Some("1".into()), ..Environment::default() };
        assert_eq!(
            (set.check_steps().ok(), Environment::default().check_steps().ok()),
            (Some(true), Some(false))
        );
    }
}
