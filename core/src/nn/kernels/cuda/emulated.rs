//! A card that is none: kernels are compiled by the machine's C compiler with `emulated.h` in place of
//! CUDA, and run thread by thread. For the tests of kernels and launchers on a machine without a card.
//!
//! Every launch is held to the kernel's parameters (their number, what they point to and how it is
//! stored), runs twice with the threads in opposite orders, which must give the same bits, and may
//! write nothing beyond its buffers. Memory that no kernel wrote is NaN. With EAGLE_EMULATE_ONCE in the
//! environment it runs once, for tests of more than the kernels.
// What goes wrong here is a bug in a kernel or a launcher, and ends the test.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::call::{Arg, Call, Element, Product};
use super::{GpuError, Kind, Result};
use crate::nn::kernels::linear::batched;
#[cfg(test)]
use std::cell::RefCell;
use std::collections::BTreeMap;
#[cfg(test)]
use std::collections::BTreeSet;
use std::ffi::{CString, c_char, c_int, c_void};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{LazyLock, Mutex, PoisonError};

/// A card. There is one, and nothing in it.
#[derive(Debug, Clone)]
pub struct Gpu(());

#[cfg(test)]
thread_local! {
    static LAUNCHED: RefCell<BTreeSet<&'static str>> = const { RefCell::new(BTreeSet::new()) };
}

/// The kernels that this thread has launched since the last call.
#[cfg(test)]
pub(super) fn launched() -> BTreeSet<&'static str> {
    LAUNCHED.take()
}

/// A compiled file of kernels.
struct Module {
    run: extern "C" fn(*const c_char, *const *mut c_void, *const u32, u32, u32, c_int) -> c_int,
    /// The parameters of each kernel.
    kernels: BTreeMap<String, Vec<Parameter>>,
}

/// How a module is found: its file, the storage of values and the width of heads.
type Key = (&'static str, u32, usize);

/// The modules that were compiled. A module runs one kernel at a time.
static MODULES: Mutex<BTreeMap<Key, &'static Mutex<Module>>> = Mutex::new(BTreeMap::new());

static ONCE: LazyLock<bool> = LazyLock::new(|| std::env::var_os("EAGLE_EMULATE_ONCE").is_some());

unsafe extern "C" {
    fn dlopen(file: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// A parameter of a kernel.
#[derive(Debug, Clone)]
struct Parameter {
    /// Its C type, without `const`, `*` and `__restrict__`.
    element: String,
    pointer: bool,
    constant: bool,
}

impl Parameter {
    fn parse(text: &str) -> Parameter {
        let words = text.replace('*', " * ").replace("__restrict__", " ");
        let words: Vec<&str> = words.split_whitespace().collect();
        let (constant, pointer) = (words.contains(&"const"), words.contains(&"*"));
        let element = words.iter().find(|word| !["const", "*"].contains(word)).copied();
        Parameter { element: element.unwrap_or_default().to_owned(), pointer, constant }
    }

    fn takes(&self, arg: Arg, kind: Kind) -> bool {
        let stored = if kind == Kind::F32 { Element::F32 } else { Element::Half };
        match arg {
            Arg::None => self.pointer,
            Arg::Int(_) => !self.pointer && self.element == "int",
            Arg::Long(_) => !self.pointer && self.element == "wide",
            Arg::Float(_) => !self.pointer && self.element == "float",
            Arg::Memory { element, write, .. } => {
                let same = match self.element.as_str() {
                    "real" => element == stored,
                    "float" => element == Element::F32,
                    "half" => element == Element::Half,
                    "int" => element == Element::Int,
                    "double" => element == Element::Double,
                    _ => false,
                };
                self.pointer && same && write != self.constant
            }
        }
    }
}

/// The kernels of a text, with their parameters.
pub(super) fn kernels_of(text: &str) -> Vec<(String, Vec<String>)> {
    let sizes = text.split_once("#define SIZES").and_then(|(_, rest)| rest.split_once("#define"));
    let sizes = sizes.map_or(String::new(), |(sizes, _)| sizes.replace('\\', " "));
    let heads = text.split("\nKERNEL ").skip(1).filter_map(|rest| rest.split_once(')'));
    heads
        .filter_map(|(head, _)| {
            let (name, parameters) = head.split_once('(')?;
            let name = name.split_whitespace().last()?;
            let parameters = parameters.replace("SIZES", &sizes);
            let parameters = parameters.split(',').map(|text| text.trim().to_owned()).collect();
            Some((name.to_owned(), parameters))
        })
        .collect()
}

impl Module {
    fn compile(call: &Call<'_>) -> Module {
        let text = call.source.text(call.kind, call.head);
        let found = kernels_of(&text);
        let mut c = String::from("#line 1 \"emulated.h\"\n");
        let (defines, body) = text.split_once("\n//").map_or(("", &text[..]), |(a, b)| (a, b));
        let _ = write!(
            c,
            "{defines}\n{}\n#line 1 \"prelude.cuh\"\n//{body}\n",
            include_str!("emulated.h")
        );
        for (name, parameters) in &found {
            let casts: Vec<String> = parameters
                .iter()
                .enumerate()
                .map(|(i, text)| {
                    let text = text.replace("__restrict__", "");
                    let end = text.rfind(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(0);
                    format!("*({} *)a[{i}]", &text[..=end])
                })
                .collect();
            let _ = writeln!(
                c,
                "static void call_{name}(void **a) {{ {name}({}); }}",
                casts.join(", ")
            );
        }
        c.push_str(
            "int emulate(const char *name, void **args, const unsigned *grid, unsigned threads, \
             unsigned shared, int descending) {\n",
        );
        for (name, _) in &found {
            let _ = writeln!(
                c,
                "if (!strcmp(name, \"{name}\")) return emu_run(call_{name}, args, grid, threads, shared, descending);"
            );
        }
        c.push_str("return 3;\n}\n");
        let kernels = found.into_iter().map(|(name, parameters)| {
            (name, parameters.iter().map(|text| Parameter::parse(text)).collect())
        });
        Module { run: build(call, &c), kernels: kernels.collect() }
    }
}

/// Compiles C text, and finds its entry.
fn build(
    call: &Call<'_>,
    text: &str,
) -> extern "C" fn(*const c_char, *const *mut c_void, *const u32, u32, u32, c_int) -> c_int {
    let name = format!("{}-{}-{}", call.source.file, call.kind.code(), call.head);
    let folder: PathBuf =
        std::env::temp_dir().join(format!("eagle-emulated-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (source, library) = (folder.join(format!("{name}.c")), folder.join(format!("{name}.so")));
    std::fs::write(&source, text).unwrap();
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let out = Command::new(&compiler)
        .args([
            "-std=gnu11",
            "-O1",
            "-fno-strict-aliasing",
            "-ffp-contract=off",
            "-shared",
            "-fPIC",
        ])
        .args(["-U_FORTIFY_SOURCE", "-w", "-o"])
        .args([&library, &source])
        .arg("-lm")
        .output()
        .unwrap_or_else(|error| {
            panic!("the kernels' tests need a C compiler ({compiler}): {error}")
        });
    assert!(out.status.success(), "{name}: {}", String::from_utf8_lossy(&out.stderr));
    let path = CString::new(library.to_str().unwrap()).unwrap();
    // SAFETY: the library was just built; it has no initialisers.
    let handle = unsafe { dlopen(path.as_ptr(), 2) };
    assert!(!handle.is_null(), "{name} doesn't load");
    // SAFETY: the handle is that of a loaded library, the name is ended by a zero.
    let entry = unsafe { dlsym(handle, c"emulate".as_ptr()) };
    assert!(!entry.is_null(), "{name} has no entry");
    let _ = (std::fs::remove_file(source), std::fs::remove_file(library));
    let _ = std::fs::remove_dir(folder);
    // SAFETY: `emulate` is defined with these parameters in the text above.
    unsafe { std::mem::transmute(entry) }
}

impl Gpu {
    /// The card.
    ///
    /// # Errors
    /// None: there is always one.
    pub fn open(_: usize) -> Result<Gpu> {
        Ok(Gpu(()))
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        "emulation on the CPU"
    }

    /// The compute capability whose instructions are emulated.
    pub fn capability(&self) -> (u32, u32) {
        (8, 0)
    }

    /// Bytes that are free, and bytes in all: as many as can be counted.
    ///
    /// # Errors
    /// None.
    pub fn memory(&self) -> Result<(usize, usize)> {
        Ok((usize::MAX, usize::MAX))
    }

    /// Work is done when its call returns.
    ///
    /// # Errors
    /// None.
    pub fn synchronize(&self) -> Result<()> {
        Ok(())
    }

    /// Nothing to do.
    ///
    /// # Errors
    /// None.
    pub fn trim(&self) -> Result<()> {
        Ok(())
    }

    /// Products are of f32 in any case.
    pub fn set_tf32(&self, _: bool) {}

    fn module(call: &Call<'_>) -> &'static Mutex<Module> {
        let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
        modules
            .entry((call.source.file, call.kind.code(), call.head))
            .or_insert_with(|| Box::leak(Box::new(Mutex::new(Module::compile(call)))))
    }

    pub(super) fn launch(
        &self,
        call: &Call<'_>,
        grid: [u32; 3],
        threads: u32,
        shared: u32,
    ) -> Result<()> {
        assert!(threads <= 1024 && shared <= 99 << 10, "{}: a block too large", call.kernel);
        let module = Self::module(call).lock().unwrap_or_else(PoisonError::into_inner);
        let parameters = module.kernels.get(call.kernel);
        let parameters = parameters.unwrap_or_else(|| panic!("no kernel {}", call.kernel));
        assert_eq!(parameters.len(), call.args.len(), "{}: arguments", call.kernel);
        for (i, (parameter, arg)) in parameters.iter().zip(&call.args).enumerate() {
            let fits = parameter.takes(*arg, call.kind);
            assert!(fits, "{}, argument {i}: {arg:?} for {parameter:?}", call.kernel);
        }
        #[cfg(test)]
        LAUNCHED.with_borrow_mut(|launched| launched.insert(call.kernel));
        if *ONCE {
            return self.run(&module, call, (grid, threads, shared), false);
        }
        let before: Vec<Vec<u8>> = written(call).map(|bytes| bytes.to_vec()).collect();
        self.run(&module, call, (grid, threads, shared), false)?;
        let after: Vec<Vec<u8>> = written(call).map(|bytes| bytes.to_vec()).collect();
        for (bytes, before) in written(call).zip(&before) {
            bytes.copy_from_slice(before);
        }
        self.run(&module, call, (grid, threads, shared), true)?;
        for (bytes, after) in written(call).zip(&after) {
            assert!(*bytes == after[..], "{}: the order of its threads shows", call.kernel);
        }
        Ok(())
    }

    fn run(
        &self,
        module: &Module,
        call: &Call<'_>,
        (grid, threads, shared): ([u32; 3], u32, u32),
        descending: bool,
    ) -> Result<()> {
        let mut bits: Vec<u64> = call.args.iter().map(|arg| arg.bits()).collect();
        let args: Vec<*mut c_void> =
            bits.iter_mut().map(|bits| std::ptr::from_mut(bits).cast()).collect();
        let name = CString::new(call.kernel).unwrap_or_default();
        let (args, grid) = (args.as_ptr(), grid.as_ptr());
        match (module.run)(name.as_ptr(), args, grid, threads, shared, c_int::from(descending)) {
            0 => Ok(()),
            1 => panic!("{}: a thread waits for others that don't come", call.kernel),
            2 => panic!("{}: writes beyond its shared memory", call.kernel),
            _ => Err(GpuError::Unsupported { op: call.kernel, detail: "no kernel".to_owned() }),
        }
    }

    /// A matrix product, by the CPU's.
    pub(super) fn product(
        &self,
        p: &Product<'_>,
        out: &mut super::Buffer,
        factor: f32,
    ) -> Result<()> {
        let (m, n, k) = p.size;
        let (a, b, mut x) = (p.a.0.download()?, p.b.0.download()?, out.download()?);
        let (a, b) = (&a[p.start[0]..][..p.batch * m * k], &b[p.start[1]..][..p.batch * k * n]);
        let found = batched(p.batch, p.size, (a, p.a.1), (b, p.b.1));
        for (x, found) in x[p.start[2]..].iter_mut().zip(found) {
            *x = factor * found + if p.accumulate { *x } else { 0.0 };
        }
        out.store(&x)
    }
}

/// The memory that a call may write.
fn written<'a>(call: &'a Call<'_>) -> impl Iterator<Item = &'a mut [u8]> {
    call.args.iter().filter_map(|arg| match *arg {
        Arg::Memory { address, bytes, write: true, .. } => {
            // SAFETY: a call borrows what it writes for as long as it lives, each buffer once.
            Some(unsafe { std::slice::from_raw_parts_mut(address as *mut u8, bytes) })
        }
        _ => None,
    })
}

/// Bytes before and after a piece of memory that must stay as they are: NaN, for who reads them.
const BEYOND: usize = 256;

/// A piece of memory.
#[derive(Debug)]
pub(super) struct Memory {
    gpu: Gpu,
    /// In words of 16 bytes, as a card's memory is aligned.
    words: Vec<u128>,
    bytes: usize,
}

impl Memory {
    pub(super) fn new(gpu: &Gpu, bytes: usize) -> Result<Memory> {
        let words = vec![u128::MAX; (bytes + 2 * BEYOND).div_ceil(16)];
        Ok(Memory { gpu: gpu.clone(), words, bytes })
    }

    pub(super) fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    pub(super) fn address(&self) -> u64 {
        self.words.as_ptr() as u64 + BEYOND as u64
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn all(&self) -> &[u8] {
        let len = self.words.len() * 16;
        // SAFETY: the words are that many bytes.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr().cast(), len) }
    }

    fn inner(&mut self) -> &mut [u8] {
        let (len, bytes) = (self.words.len() * 16, self.bytes);
        // SAFETY: the words are that many bytes.
        let all: &mut [u8] =
            unsafe { std::slice::from_raw_parts_mut(self.words.as_mut_ptr().cast(), len) };
        &mut all[BEYOND..BEYOND + bytes]
    }

    pub(super) fn zero(&mut self) -> Result<()> {
        self.inner().fill(0);
        Ok(())
    }

    pub(super) fn read(&self) -> Result<Vec<u8>> {
        Ok(self.all()[BEYOND..BEYOND + self.bytes].to_vec())
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.inner().copy_from_slice(bytes);
        Ok(())
    }

    pub(super) fn copy_from(&mut self, other: &Memory) -> Result<()> {
        self.write(&other.read()?)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let (before, rest) = self.all().split_at(BEYOND);
        let whole = before.iter().chain(&rest[self.bytes..]).all(|byte| *byte == 0xff);
        assert!(whole || std::thread::panicking(), "a kernel wrote beyond a buffer");
    }
}
