//! The card itself: memory, compiled kernels, launches and matrix products, through cudarc's bindings.
//!
//! Everything runs on the default stream of the card's primary context, which other libraries in the
//! process share. cudarc's safe wrapper panics where there is no driver and names no missing card, so
//! its raw calls are used.

use super::call::{Call, Product};
use super::{GpuError, Kind, Result};
use cudarc::cublas::{result as cublas, sys as cublas_sys};
use cudarc::driver::{result as driver, sys};
use cudarc::nvrtc::{CompileError, CompileOptions, compile_ptx_with_opts};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_void};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The oldest architecture with bf16 and asynchronous allocation.
const OLDEST: (u32, u32) = (8, 0);

/// A card. Cloning shares it.
#[derive(Clone)]
pub struct Gpu(Arc<Card>);

struct Card {
    ordinal: usize,
    name: String,
    capability: (u32, u32),
    context: sys::CUcontext,
    cublas: cublas_sys::cublasHandle_t,
    pool: sys::CUmemoryPool,
    /// Functions by file, storage, width of heads and name.
    functions: Mutex<BTreeMap<(&'static str, u32, usize, &'static str), Function>>,
    modules: Mutex<BTreeMap<(&'static str, u32, usize), Module>>,
    tf32: AtomicBool,
}

#[derive(Clone, Copy)]
struct Function(sys::CUfunction);
#[derive(Clone, Copy)]
struct Module(sys::CUmodule);

// SAFETY: the driver's handles may be used from any thread once its context is current there.
unsafe impl Send for Card {}
// SAFETY: as above; cuBLAS calls on one handle are queued under the lock of `functions`.
unsafe impl Sync for Card {}

impl std::fmt::Debug for Gpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gpu({}: {})", self.0.ordinal, self.0.name)
    }
}

fn failed(call: &'static str) -> impl Fn(driver::DriverError) -> GpuError {
    move |error| GpuError::Driver { call, name: name_of(error) }
}

fn name_of(error: driver::DriverError) -> String {
    let text = |text: Result<&CStr, _>| text.map(|text| text.to_string_lossy().into_owned()).ok();
    let known = (text(error.error_name().map_err(drop)), text(error.error_string().map_err(drop)));
    match known {
        (Some(name), Some(what)) => format!("{name}, {what}"),
        _ => format!("{:?}", error.0),
    }
}

/// The cards that were opened, by number.
static OPEN: Mutex<BTreeMap<usize, Gpu>> = Mutex::new(BTreeMap::new());

impl Gpu {
    /// The card of this number; the same one every time.
    ///
    /// # Errors
    /// There is no driver or no such card, or it is too old.
    pub fn open(ordinal: usize) -> Result<Gpu> {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gpu) = open.get(&ordinal) {
            gpu.bind()?;
            return Ok(gpu.clone());
        }
        let gpu = Gpu(Arc::new(Card::open(ordinal)?));
        open.insert(ordinal, gpu.clone());
        Ok(gpu)
    }

    /// What the driver calls it.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its compute capability.
    pub fn capability(&self) -> (u32, u32) {
        self.0.capability
    }

    /// Bytes that are free, and bytes in all.
    ///
    /// # Errors
    /// The driver failed.
    pub fn memory(&self) -> Result<(usize, usize)> {
        self.bind()?;
        driver::mem_get_info().map_err(failed("asking for the free memory"))
    }

    /// Waits until all work that was queued is done.
    ///
    /// # Errors
    /// That work failed.
    pub fn synchronize(&self) -> Result<()> {
        self.bind()?;
        // SAFETY: the default stream exists as long as its context.
        unsafe { driver::stream::synchronize(std::ptr::null_mut()) }
            .map_err(failed("waiting for the card"))
    }

    /// Whether matrix products of f32 values round them to 19 bits first, which tensor cores can.
    pub fn set_tf32(&self, on: bool) {
        self.0.tf32.store(on, Ordering::Relaxed);
    }

    /// Gives memory that is kept for later buffers back to the driver.
    ///
    /// # Errors
    /// The driver failed.
    pub fn trim(&self) -> Result<()> {
        self.synchronize()?;
        // SAFETY: the pool is the card's own, which exists as long as the card.
        unsafe { sys::cuMemPoolTrimTo(self.0.pool, 0) }
            .result()
            .map_err(failed("giving memory back"))
    }

    fn bind(&self) -> Result<()> {
        // SAFETY: the context was retained by `Card::open` and is never released.
        unsafe { driver::ctx::set_current(self.0.context) }
            .map_err(failed("making the card current"))
    }

    /// Queues a kernel.
    pub(super) fn launch(
        &self,
        call: &Call<'_>,
        grid: [u32; 3],
        threads: u32,
        shared: u32,
    ) -> Result<()> {
        self.bind()?;
        let function = self.function(call, shared)?;
        let mut bits: Vec<u64> = call.args.iter().map(|arg| arg.bits()).collect();
        let mut params: Vec<*mut c_void> =
            bits.iter_mut().map(|bits| std::ptr::from_mut(bits).cast()).collect();
        let stream = std::ptr::null_mut();
        // SAFETY: the emulation's tests hold the launchers to their kernels' parameters; every
        // pointer is to memory of the card that is freed in the stream's order; the driver copies
        // the parameters before it returns.
        unsafe {
            let grid = (grid[0], grid[1], grid[2]);
            driver::launch_kernel(function, grid, (threads, 1, 1), shared, stream, &mut params)
        }
        .map_err(failed(call.kernel))
    }

    fn function(&self, call: &Call<'_>, shared: u32) -> Result<sys::CUfunction> {
        let (file, storage) = (call.source.file, call.kind.code());
        let key = (file, storage, call.head, call.kernel);
        let mut functions = self.0.functions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(function) = functions.get(&key) {
            return Ok(function.0);
        }
        let mut modules = self.0.modules.lock().unwrap_or_else(PoisonError::into_inner);
        let module = match modules.get(&(file, storage, call.head)) {
            Some(module) => *module,
            None => {
                let module = self.compile(call)?;
                modules.insert((file, storage, call.head), module);
                module
            }
        };
        let name = CString::new(call.kernel).unwrap_or_default();
        // SAFETY: the module was loaded above, and is never unloaded.
        let function = unsafe { driver::module::get_function(module.0, name) }
            .map_err(failed("finding a kernel"))?;
        if shared > 48 << 10 {
            use sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES as SIZE;
            // SAFETY: the function is one of a loaded module.
            unsafe { sys::cuFuncSetAttribute(function, SIZE, shared as i32) }
                .result()
                .map_err(failed("asking for shared memory"))?;
        }
        functions.insert(key, Function(function));
        Ok(function)
    }

    /// Compiles a file for this card, or for the newest older one that the compiler knows.
    fn compile(&self, call: &Call<'_>) -> Result<Module> {
        let (major, minor) = self.0.capability;
        let text = call.source.text(call.kind, call.head);
        let mut problem = String::new();
        let known = ["compute_100", "compute_90", "compute_89", "compute_86", "compute_80"];
        let own: &'static str = Box::leak(format!("compute_{major}{minor}").into_boxed_str());
        let older = known.into_iter().filter(|name| number(name) < number(own));
        for architecture in std::iter::once(own).chain(older) {
            let options = CompileOptions { arch: Some(architecture), ..CompileOptions::default() };
            match compile_ptx_with_opts(&text, options) {
                Ok(ptx) => {
                    let image = CString::new(ptx.to_src()).unwrap_or_default();
                    // SAFETY: the image is PTX, ended by a zero.
                    let module = unsafe { driver::module::load_data(image.as_ptr().cast()) };
                    return module.map(Module).map_err(failed("loading a kernel"));
                }
                Err(CompileError::CompileError { log, .. }) => {
                    problem = log.to_string_lossy().into_owned();
                    if !problem.contains("gpu-architecture") {
                        break;
                    }
                }
                Err(error) => problem = format!("{error:?}"),
            }
        }
        let (file, architecture) = (call.source.file, own.to_owned());
        Err(GpuError::Compile { file, architecture, log: problem })
    }

    /// Queues a matrix product, through cuBLAS.
    pub(super) fn product(
        &self,
        p: &Product<'_>,
        out: &mut super::Buffer,
        factor: f32,
    ) -> Result<()> {
        let (m, n, k) = p.size;
        if p.batch * m * n == 0 {
            return Ok(());
        }
        if k == 0 {
            return if p.accumulate { Ok(()) } else { out.zero() };
        }
        self.bind()?;
        let beta = f32::from(u8::from(p.accumulate));
        let address = |buffer: &super::Buffer, start: usize| {
            buffer.address() + (start * buffer.kind().bytes()) as u64
        };
        let tf32 = self.0.tf32.load(Ordering::Relaxed) && p.a.0.kind() == Kind::F32;
        let compute = if tf32 {
            cublas_sys::cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_TF32
        } else {
            cublas_sys::cublasComputeType_t::CUBLAS_COMPUTE_32F
        };
        let operation = |turned: bool| match turned {
            true => cublas_sys::cublasOperation_t::CUBLAS_OP_T,
            false => cublas_sys::cublasOperation_t::CUBLAS_OP_N,
        };
        let lead = |turned: bool, rows: usize, columns: usize| {
            (if turned { rows } else { columns }) as i32
        };
        let _queue = self.0.functions.lock().unwrap_or_else(PoisonError::into_inner);
        // cuBLAS counts by columns: what it sees is the transpose, out^T = b^T a^T.
        // SAFETY: sizes and strides are those of the buffers, which the callers check; the factors
        // live through the call, which reads them before it returns.
        unsafe {
            cublas::gemm_strided_batched_ex(
                self.0.cublas,
                operation(p.b.1),
                operation(p.a.1),
                n as i32,
                m as i32,
                k as i32,
                std::ptr::from_ref(&factor).cast(),
                address(p.b.0, p.start[1]) as *const c_void,
                data_type(p.b.0.kind()),
                lead(p.b.1, k, n),
                (k * n) as i64,
                address(p.a.0, p.start[0]) as *const c_void,
                data_type(p.a.0.kind()),
                lead(p.a.1, m, k),
                (m * k) as i64,
                std::ptr::from_ref(&beta).cast(),
                address(out, p.start[2]) as *mut c_void,
                data_type(out.kind()),
                n as i32,
                (m * n) as i64,
                p.batch as i32,
                compute,
                cublas_sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
            )
        }
        .map_err(|error| GpuError::Product { name: format!("{error:?}") })
    }
}

fn number(architecture: &str) -> usize {
    architecture.trim_start_matches("compute_").parse().unwrap_or(0)
}

fn data_type(kind: Kind) -> cublas_sys::cudaDataType_t {
    match kind {
        Kind::F32 => cublas_sys::cudaDataType_t::CUDA_R_32F,
        Kind::Bf16 => cublas_sys::cudaDataType_t::CUDA_R_16BF,
        Kind::F16 => cublas_sys::cudaDataType_t::CUDA_R_16F,
    }
}

impl Card {
    fn open(ordinal: usize) -> Result<Card> {
        use sys::CUdevice_attribute_enum as Attribute;
        driver::init().map_err(|error| GpuError::NoDriver { name: name_of(error) })?;
        let count = driver::device::get_count().map_err(failed("counting the cards"))? as usize;
        if ordinal >= count {
            return Err(GpuError::NoDevice { ordinal, count });
        }
        let device = driver::device::get(ordinal as i32).map_err(failed("finding the card"))?;
        let attribute = |attribute| {
            // SAFETY: `device` was given out by the driver.
            let value = unsafe { driver::device::get_attribute(device, attribute) };
            value.map(|value| value as u32).map_err(failed("asking what the card can do"))
        };
        let capability = (
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        );
        let name = device_name(device)?;
        if capability < OLDEST {
            return Err(GpuError::TooOld { name, capability });
        }
        // SAFETY: as above; the context stays retained until the process ends.
        let context =
            unsafe { driver::primary_ctx::retain(device) }.map_err(failed("starting the card"))?;
        // SAFETY: the context was just retained.
        unsafe { driver::ctx::set_current(context) }.map_err(failed("making the card current"))?;
        let pool = pool_of(device)?;
        let cublas = cublas::create_handle()
            .map_err(|error| GpuError::Product { name: format!("{error:?}") })?;
        let (functions, modules) = (Mutex::default(), Mutex::default());
        let tf32 = AtomicBool::new(false);
        Ok(Card { ordinal, name, capability, context, cublas, pool, functions, modules, tf32 })
    }
}

/// The pool that buffers are taken from. It keeps what is freed: by default each wait for the card
/// would give it all back to the driver.
fn pool_of(device: sys::CUdevice) -> Result<sys::CUmemoryPool> {
    use sys::CUmemPool_attribute_enum::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD as THRESHOLD;
    let mut pool = std::ptr::null_mut();
    let mut most = u64::MAX;
    // SAFETY: the driver writes one handle, and reads one number.
    unsafe {
        sys::cuDeviceGetDefaultMemPool(&mut pool, device)
            .result()
            .and_then(|()| {
                sys::cuMemPoolSetAttribute(pool, THRESHOLD, std::ptr::from_mut(&mut most).cast())
                    .result()
            })
            .map_err(failed("setting up memory"))?;
    }
    Ok(pool)
}

fn device_name(device: sys::CUdevice) -> Result<String> {
    let mut name = [0_u8; 128];
    // SAFETY: the driver writes at most 127 bytes and a zero.
    unsafe { sys::cuDeviceGetName(name.as_mut_ptr().cast(), name.len() as i32, device) }
        .result()
        .map_err(failed("asking for the card's name"))?;
    let text = CStr::from_bytes_until_nul(&name).map(CStr::to_string_lossy);
    Ok(text.map(std::borrow::Cow::into_owned).unwrap_or_default())
}

/// A piece of the card's memory.
#[derive(Debug)]
pub(super) struct Memory {
    gpu: Gpu,
    address: sys::CUdeviceptr,
    bytes: usize,
}

impl Memory {
    pub(super) fn new(gpu: &Gpu, bytes: usize) -> Result<Memory> {
        gpu.bind()?;
        // SAFETY: the memory is written before it is read: see `Gpu::uninit`.
        let address = match bytes {
            0 => 0,
            _ => unsafe { driver::malloc_async(std::ptr::null_mut(), bytes) }.map_err(|error| {
                if error.0 == sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY {
                    let (free, total) = driver::mem_get_info().unwrap_or((0, 0));
                    return GpuError::OutOfMemory { bytes, free, total };
                }
                failed("taking memory")(error)
            })?,
        };
        Ok(Memory { gpu: gpu.clone(), address, bytes })
    }

    pub(super) fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    pub(super) fn address(&self) -> u64 {
        self.address
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn zero(&mut self) -> Result<()> {
        if self.bytes == 0 {
            return Ok(());
        }
        self.gpu.bind()?;
        // SAFETY: the memory is this value's own.
        unsafe { driver::memset_d8_async(self.address, 0, self.bytes, std::ptr::null_mut()) }
            .map_err(failed("filling memory"))
    }

    pub(super) fn read(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![0; self.bytes];
        if self.bytes > 0 {
            self.gpu.bind()?;
            // SAFETY: the buffer has as many bytes as the memory; the call waits for the stream.
            unsafe { driver::memcpy_dtoh_sync(&mut bytes, self.address) }
                .map_err(failed("copying from the card"))?;
        }
        Ok(bytes)
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.gpu.bind()?;
        // SAFETY: the callers give as many bytes as the memory has; from memory that is not pinned,
        // as this is, the call returns when they have been read.
        unsafe { driver::memcpy_htod_async(self.address, bytes, std::ptr::null_mut()) }
            .map_err(failed("copying to the card"))
    }

    pub(super) fn copy_from(&mut self, other: &Memory) -> Result<()> {
        if self.bytes == 0 {
            return Ok(());
        }
        self.gpu.bind()?;
        let stream = std::ptr::null_mut();
        // SAFETY: both are as large, and alive until the copy was queued.
        unsafe { driver::memcpy_dtod_async(self.address, other.address, self.bytes, stream) }
            .map_err(failed("copying on the card"))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.address != 0 && self.gpu.bind().is_ok() {
            // An error here is the error of earlier work, and whoever waits for that is told.
            // SAFETY: the memory was taken on this stream, and is not used after this.
            let _ = unsafe { driver::free_async(self.address, std::ptr::null_mut()) };
        }
    }
}
