//! TensorFlow's C API (tensorflow/c/c_api.h) as safe calls: the only unsafe code of this crate.
//!
//! Everything that the library makes is owned by a type that gives it back when it goes. The library itself stays loaded until
//! the process ends, since its threads do.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fmt;
use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};
use std::sync::Arc;

use albert::output::Array;

use crate::error::{Error, Result};

/// Types behind pointers of the library.
macro_rules! opaque {
    ($($name:ident)+) => {$(
        #[repr(C)]
        struct $name {
            _private: [u8; 0],
        }
    )+};
}

opaque! { Status Buffer Graph ImportOptions Operation SessionOptions RawSession RawTensor }

/// `TF_Output`: a result of an operation.
#[repr(C)]
#[derive(Clone, Copy)]
struct Output {
    operation: *mut Operation,
    index: c_int,
}

/// `TF_FLOAT`
const FLOAT: c_int = 1;
/// `TF_INT64`
const INT64: c_int = 9;

/// The functions that are used, loaded by their names.
macro_rules! functions {
    ($($name:ident($($argument:ty),*) $(-> $result:ty)?;)+) => {
        #[allow(non_snake_case)]
        struct Functions {
            $($name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)+
        }

        impl Functions {
            fn load(library: &libloading::Library, path: &Path) -> Result<Self> {
                Ok(Self {$(
                    $name: {
                        // SAFETY: the type is that of this function in c_api.h, which has not changed in TensorFlow 2. It
                        // stays valid since `Library::open` never unloads the library.
                        let symbol = unsafe { library.get(concat!(stringify!($name), "\0").as_bytes()) };
                        *symbol.map_err(|source| Error::Symbol {
                            path: path.to_owned(),
                            symbol: stringify!($name),
                            source,
                        })?
                    },
                )+})
            }
        }
    };
}

functions! {
    TF_Version() -> *const c_char;
    TF_NewStatus() -> *mut Status;
    TF_DeleteStatus(*mut Status);
    TF_GetCode(*const Status) -> u32;
    TF_Message(*const Status) -> *const c_char;
    TF_NewBufferFromString(*const c_void, usize) -> *mut Buffer;
    TF_DeleteBuffer(*mut Buffer);
    TF_NewGraph() -> *mut Graph;
    TF_DeleteGraph(*mut Graph);
    TF_NewImportGraphDefOptions() -> *mut ImportOptions;
    TF_DeleteImportGraphDefOptions(*mut ImportOptions);
    TF_GraphImportGraphDef(*mut Graph, *const Buffer, *const ImportOptions, *mut Status);
    TF_GraphOperationByName(*mut Graph, *const c_char) -> *mut Operation;
    TF_NewSessionOptions() -> *mut SessionOptions;
    TF_DeleteSessionOptions(*mut SessionOptions);
    TF_SetConfig(*mut SessionOptions, *const c_void, usize, *mut Status);
    TF_NewSession(*mut Graph, *const SessionOptions, *mut Status) -> *mut RawSession;
    TF_CloseSession(*mut RawSession, *mut Status);
    TF_DeleteSession(*mut RawSession, *mut Status);
    TF_SessionRun(
        *mut RawSession, *const Buffer, *const Output, *const *mut RawTensor, c_int, *const Output, *mut *mut RawTensor,
        c_int, *const *const Operation, c_int, *mut Buffer, *mut Status
    );
    TF_AllocateTensor(c_int, *const i64, c_int, usize) -> *mut RawTensor;
    TF_DeleteTensor(*mut RawTensor);
    TF_TensorType(*const RawTensor) -> c_int;
    TF_NumDims(*const RawTensor) -> c_int;
    TF_Dim(*const RawTensor, c_int) -> i64;
    TF_TensorByteSize(*const RawTensor) -> usize;
    TF_TensorData(*const RawTensor) -> *mut c_void;
}

/// Where an allocation of the library's failed.
fn exhausted(action: &'static str) -> Error {
    Error::TensorFlow {
        action,
        code: 8,
        message: "it gave nothing; is there memory enough?".to_owned(),
    }
}

/// An object of the library, and the function that gives it back.
struct Owned<T> {
    raw: NonNull<T>,
    delete: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    /// # Safety
    /// `raw` is null, or an object that nobody else gives back, and that `delete` is for.
    unsafe fn new(
        raw: *mut T,
        delete: unsafe extern "C" fn(*mut T),
        action: &'static str,
    ) -> Result<Self> {
        let raw = NonNull::new(raw).ok_or_else(|| exhausted(action))?;
        Ok(Self { raw, delete })
    }

    fn as_ptr(&self) -> *mut T {
        self.raw.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: by `new` the object is ours alone and this is its function; it is called once.
        unsafe { (self.delete)(self.raw.as_ptr()) }
    }
}

impl Functions {
    fn status(&self) -> Result<Owned<Status>> {
        // SAFETY: a new object and its function.
        unsafe { Owned::new((self.TF_NewStatus)(), self.TF_DeleteStatus, "make a status") }
    }

    /// Fails if the last call with this status did.
    fn check(&self, status: &Owned<Status>, action: &'static str) -> Result<()> {
        // SAFETY: a status that is alive; its message is a text that ends with 0 and lives until the status is next used.
        let (code, message) = unsafe {
            let code = (self.TF_GetCode)(status.as_ptr());
            (code, text((self.TF_Message)(status.as_ptr())))
        };
        match code {
            0 => Ok(()),
            _ => Err(Error::TensorFlow {
                action,
                code,
                message,
            }),
        }
    }

    fn buffer(&self, bytes: &[u8]) -> Result<Owned<Buffer>> {
        // SAFETY: the library copies the bytes into a new object, which is given back by its function.
        unsafe {
            let raw = (self.TF_NewBufferFromString)(bytes.as_ptr().cast(), bytes.len());
            Owned::new(raw, self.TF_DeleteBuffer, "copy the graph")
        }
    }
}

/// A text of the library's, copied.
///
/// # Safety
/// `raw` is null, or a text that ends with 0.
unsafe fn text(raw: *const c_char) -> String {
    if raw.is_null() {
        return String::new();
    }
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(raw) }
        .to_string_lossy()
        .into_owned()
}

/// The library.
#[derive(Clone)]
pub(crate) struct Library {
    functions: Arc<Functions>,
    /// Its file, or its name where the system's loader found it.
    pub(crate) path: PathBuf,
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Library").field(&self.path).finish()
    }
}

impl Library {
    /// Loads a file, or what the system's loader finds by a name.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let functions = Functions::load(load(path)?, path)?;
        Ok(Self {
            functions: Arc::new(functions),
            path: path.to_owned(),
        })
    }

    /// Its version, as `2.21.0`.
    pub(crate) fn version(&self) -> String {
        // SAFETY: the function takes nothing and gives a text that stays.
        unsafe { text((self.functions.TF_Version)()) }
    }

    /// A session of a graph. `config` is a message `ConfigProto`.
    pub(crate) fn session(&self, graph_def: &[u8], config: &[u8]) -> Result<Session> {
        let functions = &self.functions;
        let status = functions.status()?;
        // SAFETY: every object is new, alive during the calls, and given back by its own function.
        let (graph, raw) = unsafe {
            let action = "make a graph";
            let graph = Owned::new((functions.TF_NewGraph)(), functions.TF_DeleteGraph, action)?;
            let options = Owned::new(
                (functions.TF_NewImportGraphDefOptions)(),
                functions.TF_DeleteImportGraphDefOptions,
                action,
            )?;
            let message = functions.buffer(graph_def)?;
            (functions.TF_GraphImportGraphDef)(
                graph.as_ptr(),
                message.as_ptr(),
                options.as_ptr(),
                status.as_ptr(),
            );
            functions.check(&status, "read the model's graph")?;

            let action = "make a session";
            let options = Owned::new(
                (functions.TF_NewSessionOptions)(),
                functions.TF_DeleteSessionOptions,
                action,
            )?;
            let (bytes, count) = (config.as_ptr().cast(), config.len());
            (functions.TF_SetConfig)(options.as_ptr(), bytes, count, status.as_ptr());
            functions.check(&status, "take the options of a session")?;
            let raw = (functions.TF_NewSession)(graph.as_ptr(), options.as_ptr(), status.as_ptr());
            functions.check(&status, action)?;
            (graph, NonNull::new(raw).ok_or_else(|| exhausted(action))?)
        };
        Ok(Session {
            functions: Arc::clone(functions),
            raw,
            graph,
        })
    }
}

/// Loads a library for good.
fn load(path: &Path) -> Result<&'static libloading::Library> {
    // SAFETY: what a library runs when it is loaded is its own; the user chose a file of TensorFlow, whose initialisers are
    // made to be run at any time.
    let library = unsafe { libloading::Library::new(path) };
    let library = library.map_err(|source| Error::Library {
        path: path.to_owned(),
        source,
    })?;
    Ok(Box::leak(Box::new(library)))
}

/// Numbers to feed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Data<'a> {
    Floats(&'a [f32]),
    Integers(&'a [i64]),
}

/// What an operation is fed with: its name, a shape and as many numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Feed<'a> {
    pub(crate) name: &'a str,
    pub(crate) shape: &'a [usize],
    pub(crate) data: Data<'a>,
}

/// A graph with the variables of a model, ready to run.
pub(crate) struct Session {
    functions: Arc<Functions>,
    raw: NonNull<RawSession>,
    graph: Owned<Graph>,
}

// SAFETY: a session and its graph are bound to no thread, and c_api.h lets any number of threads run a session and look for
// operations of its graph at a time: both lock what they change.
unsafe impl Send for Session {}
// SAFETY: as above.
unsafe impl Sync for Session {}

impl Drop for Session {
    fn drop(&mut self) {
        let Ok(status) = self.functions.status() else {
            return;
        };
        // SAFETY: the session is alive and ours alone; its graph goes after it, as a field.
        unsafe {
            (self.functions.TF_CloseSession)(self.raw.as_ptr(), status.as_ptr());
            (self.functions.TF_DeleteSession)(self.raw.as_ptr(), status.as_ptr());
        }
    }
}

impl Session {
    /// Runs the operations `targets` and gives the first results of the operations `fetches`, which are f32.
    pub(crate) fn run(
        &self,
        feeds: &[Feed<'_>],
        fetches: &[&str],
        targets: &[&str],
    ) -> Result<Vec<Array>> {
        let functions = &*self.functions;
        let first = |name: &str| {
            self.operation(name).map(|operation| Output {
                operation,
                index: 0,
            })
        };
        let inputs = feeds
            .iter()
            .map(|feed| first(feed.name))
            .collect::<Result<Vec<_>>>()?;
        let tensors = feeds
            .iter()
            .map(|feed| functions.tensor(feed))
            .collect::<Result<Vec<_>>>()?;
        let values: Vec<*mut RawTensor> = tensors.iter().map(Owned::as_ptr).collect();
        let outputs = fetches
            .iter()
            .map(|name| first(name))
            .collect::<Result<Vec<_>>>()?;
        let targets = targets
            .iter()
            .map(|name| self.operation(name).map(<*mut Operation>::cast_const))
            .collect::<Result<Vec<_>>>()?;
        let mut results = vec![ptr::null_mut(); outputs.len()];
        let status = functions.status()?;
        // SAFETY: all objects are alive; every list has as many elements as is said; operations are those of the session's
        // graph. The library borrows the inputs, and fills `results` with objects that are ours.
        unsafe {
            (functions.TF_SessionRun)(
                self.raw.as_ptr(),
                ptr::null(),
                inputs.as_ptr(),
                values.as_ptr(),
                count(inputs.len())?,
                outputs.as_ptr(),
                results.as_mut_ptr(),
                count(outputs.len())?,
                targets.as_ptr(),
                count(targets.len())?,
                ptr::null_mut(),
                status.as_ptr(),
            );
        }
        // What there is is taken first, so that it is given back where the run failed.
        let results: Vec<Result<Owned<RawTensor>>> = results
            .into_iter()
            // SAFETY: null, or an object that is ours.
            .map(|raw| unsafe { Owned::new(raw, functions.TF_DeleteTensor, "give a result") })
            .collect();
        functions.check(&status, "run the model")?;
        results
            .into_iter()
            .map(|tensor| functions.array(&tensor?))
            .collect()
    }

    fn operation(&self, name: &str) -> Result<*mut Operation> {
        let missing = || Error::TensorFlow {
            action: "find an operation of the graph",
            code: 5,
            message: name.to_owned(),
        };
        let text = CString::new(name).map_err(|_| missing())?;
        // SAFETY: the graph is alive, the text ends with 0; the operation lives as long as the graph.
        let operation =
            unsafe { (self.functions.TF_GraphOperationByName)(self.graph.as_ptr(), text.as_ptr()) };
        match operation.is_null() {
            true => Err(missing()),
            false => Ok(operation),
        }
    }
}

impl Functions {
    /// A tensor in the library's memory with a copy of the numbers.
    fn tensor(&self, feed: &Feed<'_>) -> Result<Owned<RawTensor>> {
        let (kind, source, elements, size): (c_int, *const u8, usize, usize) = match feed.data {
            Data::Floats(values) => (FLOAT, values.as_ptr().cast(), values.len(), 4),
            Data::Integers(values) => (INT64, values.as_ptr().cast(), values.len(), 8),
        };
        assert_eq!(
            feed.shape.iter().product::<usize>(),
            elements,
            "numbers of {} {:?}",
            feed.name,
            feed.shape
        );
        let dims = feed.shape.iter().map(|&n| i64::try_from(n));
        let dims = dims.collect::<std::result::Result<Vec<_>, _>>();
        let dims = dims.map_err(|_| exhausted("take an input"))?;
        let bytes = elements * size;
        // SAFETY: a new object of `bytes` bytes, given back by its function, into which as many bytes are copied from a
        // slice that has them; the two do not overlap.
        unsafe {
            let raw = (self.TF_AllocateTensor)(kind, dims.as_ptr(), count(dims.len())?, bytes);
            let tensor = Owned::new(raw, self.TF_DeleteTensor, "take an input")?;
            let data = (self.TF_TensorData)(tensor.as_ptr()).cast::<u8>();
            if bytes > 0 {
                if data.is_null() || (self.TF_TensorByteSize)(tensor.as_ptr()) < bytes {
                    return Err(exhausted("take an input"));
                }
                ptr::copy_nonoverlapping(source, data, bytes);
            }
            Ok(tensor)
        }
    }

    /// A copy of the numbers of a tensor of f32.
    fn array(&self, tensor: &Owned<RawTensor>) -> Result<Array> {
        let unexpected = |message: String| Error::TensorFlow {
            action: "give a result in f32",
            code: 13,
            message,
        };
        // SAFETY: the tensor is alive, and axes are asked for within their number.
        let (kind, dims, bytes, data) = unsafe {
            let axes = 0..(self.TF_NumDims)(tensor.as_ptr());
            let dims: Vec<i64> = axes
                .map(|axis| (self.TF_Dim)(tensor.as_ptr(), axis))
                .collect();
            let bytes = (self.TF_TensorByteSize)(tensor.as_ptr());
            let data = (self.TF_TensorData)(tensor.as_ptr());
            ((self.TF_TensorType)(tensor.as_ptr()), dims, bytes, data)
        };
        let shape = dims.iter().map(|&n| usize::try_from(n));
        let shape = shape.collect::<std::result::Result<Vec<_>, _>>();
        let shape = shape.map_err(|_| unexpected(format!("its shape is {dims:?}")))?;
        let elements: usize = shape.iter().product();
        if kind != FLOAT || bytes != elements * 4 {
            return Err(unexpected(format!(
                "it has type {kind}, shape {dims:?} and {bytes} bytes"
            )));
        }
        let mut values = vec![0.0_f32; elements];
        if elements > 0 && !data.is_null() {
            // SAFETY: `data` has `bytes` bytes and so has `values`, which is ours alone; any bytes are numbers.
            unsafe {
                ptr::copy_nonoverlapping(data.cast(), values.as_mut_ptr().cast::<u8>(), bytes)
            }
        }
        Ok(Array {
            shape,
            data: values,
        })
    }
}

/// A length as C has it.
fn count(length: usize) -> Result<c_int> {
    c_int::try_from(length).map_err(|_| exhausted("take so many inputs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_library() {
        let root = tempfile::tempdir().expect("a folder");
        let path = root.path().join("libtensorflow.so.2");
        std::fs::write(&path, "no library").expect("written");
        let error = Library::open(&path).unwrap_err();
        assert!(matches!(error, Error::Library { .. }), "{error:?}");
        let text = error.to_string();
        assert!(
            text.contains("libtensorflow.so.2: expected TensorFlow's C library"),
            "{text}"
        );
        assert!(text.contains("pip install tensorflow-cpu"), "{text}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_library_without_the_functions() {
        let error = Library::open(Path::new("libc.so.6")).unwrap_err();
        assert!(
            matches!(
                error,
                Error::Symbol {
                    symbol: "TF_Version",
                    ..
                }
            ),
            "{error:?}"
        );
        assert!(
            error
                .to_string()
                .contains("found none of its functions TF_Version"),
            "{error}"
        );
    }

    #[test]
    fn a_library_that_is_not_there() {
        let error = Library::open(Path::new("libno-such-library.so.2")).unwrap_err();
        assert!(matches!(error, Error::Library { .. }), "{error:?}");
    }

    #[test]
    fn sessions_may_be_shared_by_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Session>();
        shared::<Library>();
    }
}
