//! A disk whose power can be cut: SQLite's own file system, of which this keeps
//! every file as it was when it was synced last. What was only written is lost.
//! (The directory itself is taken for safe: the file system syncs it unseen.)
#![allow(unsafe_code, reason = "SQLite takes its file system as C functions")]

use std::{
    collections::HashMap,
    ffi::{CStr, c_char, c_int},
    path::{Path, PathBuf},
    ptr,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use rusqlite::ffi;

/// Files by name, each as it was synced last.
pub type Synced = HashMap<PathBuf, Arc<Vec<u8>>>;

#[derive(Default)]
struct Disk {
    synced: Synced,
    syncs: u64,
    /// The paths of SQLite's open files, by where those are in memory.
    open: HashMap<usize, PathBuf>,
}

static DISK: OnceLock<Mutex<Disk>> = OnceLock::new();

type Open = unsafe extern "C" fn(
    *mut ffi::sqlite3_vfs,
    *const c_char,
    *mut ffi::sqlite3_file,
    c_int,
    *mut c_int,
) -> c_int;
type Delete = unsafe extern "C" fn(*mut ffi::sqlite3_vfs, *const c_char, c_int) -> c_int;
type Sync = unsafe extern "C" fn(*mut ffi::sqlite3_file, c_int) -> c_int;

static OPEN: OnceLock<Open> = OnceLock::new();
static DELETE: OnceLock<Delete> = OnceLock::new();
static SYNC: OnceLock<Sync> = OnceLock::new();

fn disk() -> MutexGuard<'static, Disk> {
    let disk = DISK.get_or_init(Mutex::default);
    disk.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on every database of this process is on it.
pub fn install() {
    // SAFETY: the file system that SQLite itself registers, copied with another `xOpen` and
    // `xDelete`; the copy is never freed, as SQLite demands.
    OPEN.get_or_init(|| unsafe {
        let real = *ffi::sqlite3_vfs_find(ptr::null());
        let mut ours = real;
        ours.zName = c"power".as_ptr();
        ours.pNext = ptr::null_mut();
        ours.xOpen = Some(open);
        ours.xDelete = Some(delete);
        DELETE.get_or_init(|| real.xDelete.unwrap());
        let registered = ffi::sqlite3_vfs_register(Box::leak(Box::new(ours)), 1);
        assert_eq!(registered, ffi::SQLITE_OK);
        real.xOpen.unwrap()
    });
}

/// Opens the file as ever, and hears of its syncs.
unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite's own arguments, handed on to its own function; once that has succeeded,
    // `pMethods` are the file's, and a name is a path that ends with a zero.
    unsafe {
        let opened = OPEN.get().unwrap()(vfs, name, file, flags, out);
        if opened == ffi::SQLITE_OK && !name.is_null() {
            let mut methods = *(*file).pMethods;
            SYNC.get_or_init(|| methods.xSync.unwrap());
            methods.xSync = Some(sync);
            (*file).pMethods = Box::leak(Box::new(methods));
            let path = CStr::from_ptr(name).to_str().unwrap().into();
            disk().open.insert(file as usize, path);
        }
        opened
    }
}

unsafe extern "C" fn delete(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    // SAFETY: as SQLite calls it; the name is a path that ends with a zero.
    unsafe {
        let path = Path::new(CStr::from_ptr(name).to_str().unwrap());
        disk().synced.remove(path);
        DELETE.get().unwrap()(vfs, name, sync)
    }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: as SQLite calls it.
    let done = unsafe { SYNC.get().unwrap()(file, flags) };
    let mut disk = disk();
    disk.syncs += 1;
    // A file that was removed meanwhile has nothing left to keep; a panic in here would abort.
    if let Some(path) = disk.open.get(&(file as usize)).cloned()
        && let Ok(content) = std::fs::read(&path)
    {
        disk.synced.insert(path, Arc::new(content));
    }
    done
}

/// How often anything was synced so far.
pub fn syncs() -> u64 {
    disk().syncs
}

/// What a power cut at this moment would leave.
pub fn cut() -> Synced {
    disk().synced.clone()
}

/// Puts what was left of a directory into another one.
pub fn put_back(left: &Synced, from: &Path, into: &Path) {
    std::fs::create_dir_all(into).unwrap();
    for (path, content) in left {
        if let Ok(name) = path.strip_prefix(from) {
            std::fs::write(into.join(name), content.as_slice()).unwrap();
        }
    }
}
