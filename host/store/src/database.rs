//! [`Database`]: the SQLite file, opened at first use, its version and how older versions become newer ones.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::hooks::Wal;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use crate::error::{Doing, Result, StoreError};

/// Step `n` makes version `n + 1` of version `n`. Append only.
const MIGRATIONS: &[&str] = &[include_str!("schema.sql"), include_str!("schema-2.sql")];
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
const BUSY_PAUSE: Duration = Duration::from_millis(5);

/// Pages of the log at which [`Database::shorten_log`] writes it back: those of some twenty commands. The next command that
/// finds no other at work reads all of it.
const LONG_LOG: i32 = 200;
/// Pages of the log at which a commit writes it back, whoever waits for it.
const LONGEST_LOG: i32 = 1000;
/// Pages of the log as this process's last commit left it.
static LOG_PAGES: AtomicI32 = AtomicI32::new(0);

/// One connection, shared by the threads of this process. Other processes have their own.
#[derive(Debug)]
pub struct Database {
    path: PathBuf,
    connection: Mutex<Option<Connection>>,
}

impl Database {
    pub fn new(path: PathBuf) -> Database {
        Database { path, connection: Mutex::new(None) }
    }

    /// Reads within one snapshot.
    pub fn read<T>(&self, act: impl FnOnce(&Transaction) -> Result<T>) -> Result<T> {
        self.transact(TransactionBehavior::Deferred, act)
    }

    /// Reads and writes; all of it happens, or none.
    pub fn write<T>(&self, act: impl FnOnce(&Transaction) -> Result<T>) -> Result<T> {
        self.transact(TransactionBehavior::Immediate, act)
    }

    /// Writes the log back to the database when it has grown long; that waits for the disk. Where it cannot be done, a later
    /// command does it.
    pub fn shorten_log(&self) {
        let guard = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(connection) = guard.as_ref().filter(|_| LOG_PAGES.load(Ordering::Relaxed) >= LONG_LOG) else { return };
        if connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).is_ok() {
            LOG_PAGES.store(0, Ordering::Relaxed);
        }
    }

    fn transact<T>(&self, kind: TransactionBehavior, act: impl FnOnce(&Transaction) -> Result<T>) -> Result<T> {
        let mut guard = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = self.connected(&mut guard)?;
        let transaction = connection.transaction_with_behavior(kind).map_err(|e| self.error(e))?;
        let value = act(&transaction).map_err(|e| self.locate(e))?;
        transaction.commit().map_err(|e| self.error(e))?;
        Ok(value)
    }

    fn connected<'a>(&self, guard: &'a mut MutexGuard<'_, Option<Connection>>) -> Result<&'a mut Connection> {
        if guard.is_none() {
            **guard = Some(self.connect()?);
        }
        guard.as_mut().ok_or_else(|| StoreError::Busy("the database is not open".to_owned()))
    }

    fn connect(&self) -> Result<Connection> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).doing("creating", folder)?;
        self.check_not_lost()?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let begun = Instant::now();
        loop {
            let connection = Connection::open_with_flags(&self.path, flags).map_err(|e| self.error(e))?;
            match self.prepare(connection) {
                // While others turn a new database's log on, SQLite says so at once instead of waiting.
                Err(StoreError::Busy(_)) if begun.elapsed() < BUSY_TIMEOUT => std::thread::sleep(BUSY_PAUSE),
                prepared => return prepared,
            }
        }
    }

    /// Refuses a database that is missing or empty while its log is not: SQLite would remove the log and begin anew.
    fn check_not_lost(&self) -> Result<()> {
        let length = |path: &Path| std::fs::metadata(path).map_or(0, |meta| meta.len());
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        let log = PathBuf::from(log);
        // In this order: when both are being created by another process, the database comes first.
        if length(&log) > 0 && length(&self.path) == 0 {
            let why = format!(
                "it is empty or missing, its log {} is not. Restore it from a copy, or remove the log to begin anew",
                log.display()
            );
            return Err(StoreError::Database { path: self.path.clone(), why });
        }
        Ok(())
    }

    fn prepare(&self, mut connection: Connection) -> Result<Connection> {
        connection.busy_timeout(BUSY_TIMEOUT).map_err(|e| self.error(e))?;
        // The log stays when the last process closes: each short command would pay several syncs otherwise.
        let keep_log = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
        for option in [keep_log, DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY] {
            connection.set_db_config(option, true).map_err(|e| self.error(e))?;
        }
        connection.wal_hook(Some(note_log));
        // With WAL, NORMAL keeps the database consistent after kill -9 and power loss; content is synced before rows.
        let synchronous = if self.wal_is_safe() { "normal" } else { "full" };
        connection.pragma_update(None, "synchronous", synchronous).map_err(|e| self.error(e))?;
        let version = self.version(&connection)?;
        if version < MIGRATIONS.len() as i64 {
            let mode = if self.wal_is_safe() { "wal" } else { "delete" };
            connection.pragma_update(None, "journal_mode", mode).map_err(|e| self.error(e))?;
            self.migrate(&mut connection)?;
        }
        Ok(connection)
    }

    fn version(&self, connection: &Connection) -> Result<i64> {
        let found = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(|e| self.error(e))?;
        let known = MIGRATIONS.len() as i64;
        if (0..=known).contains(&found) {
            Ok(found)
        } else {
            Err(StoreError::NewerDatabase { path: self.path.clone(), found, known })
        }
    }

    /// Brings the schema up to date. Several processes may come here at once: the version is read again inside.
    fn migrate(&self, connection: &mut Connection) -> Result<()> {
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(|e| self.error(e))?;
        let version = usize::try_from(self.version(&transaction)?).unwrap_or_default();
        for step in &MIGRATIONS[version..] {
            transaction.execute_batch(step).map_err(|e| self.error(e))?;
        }
        transaction.pragma_update(None, "user_version", MIGRATIONS.len() as i64).map_err(|e| self.error(e))?;
        transaction.commit().map_err(|e| self.error(e))
    }

    /// WAL needs shared memory between processes, which network file systems do not have.
    fn wal_is_safe(&self) -> bool {
        #[cfg(target_os = "linux")]
        {
            const NETWORKED: [u32; 5] = [0x6969, 0x517b, 0xff53_4d42, 0xfe53_4d42, 0x0102_1997];
            let folder = self.path.parent().unwrap_or(Path::new("."));
            // f_type's width differs between architectures; the magic numbers have 32 bits.
            rustix::fs::statfs(folder).is_ok_and(|fs| !NETWORKED.contains(&(fs.f_type as u32)))
        }
        #[cfg(not(target_os = "linux"))]
        {
            true
        }
    }

    /// Names the file in an error that came without.
    fn locate(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::Database { path, why } if path.as_os_str().is_empty() => {
                StoreError::Database { path: self.path.clone(), why }
            }
            StoreError::NoSpace { path } if path.as_os_str().is_empty() => {
                StoreError::NoSpace { path: self.path.clone() }
            }
            other => other,
        }
    }

    fn error(&self, error: rusqlite::Error) -> StoreError {
        self.locate(error.into())
    }
}

/// The path is filled in by [`Database::locate`].
impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StoreError::NoSpace { path: PathBuf::new() },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy(error.to_string()),
            _ => StoreError::Database { path: PathBuf::new(), why: error.to_string() },
        }
    }
}

/// Called by SQLite after each commit, in the place of its own automatic checkpoint.
fn note_log(log: &Wal, pages: i32) -> rusqlite::Result<()> {
    LOG_PAGES.store(pages, Ordering::Relaxed);
    if pages < LONGEST_LOG { Ok(()) } else { log.checkpoint() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_begins_anew_once_it_is_written_back() {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::new(dir.path().join("shallop.db"));
        let write = |value: i64| database.write(|t| Ok(t.pragma_update(None, "application_id", value)?)).unwrap();
        write(1);
        database.shorten_log();
        let length = || std::fs::metadata(dir.path().join("shallop.db-wal")).unwrap().len();
        (2..i64::from(LONG_LOG) + 2).for_each(write);
        let long = length();
        database.shorten_log();
        // What is written now goes where the log began.
        (0..10).for_each(write);
        assert_eq!(length(), long);
        let read = database.read(|t| Ok(t.query_row("PRAGMA application_id", [], |row| row.get::<_, i64>(0))?));
        assert_eq!(read.unwrap(), 9);
    }

    fn open(path: &Path) -> Result<i64> {
        Database::new(path.to_owned()).read(|t| Ok(t.query_row("SELECT count(*) FROM image", [], |row| row.get(0))?))
    }

    #[test]
    fn made_once_and_opened_by_many() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/er/shallop.db");
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| open(&path).unwrap())).collect();
            threads.into_iter().for_each(|thread| assert_eq!(thread.join().unwrap(), 0));
        });
    }

    #[test]
    fn a_newer_version_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        open(&path).unwrap();
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(open(&path), Err(StoreError::NewerDatabase { found: 99, .. })));
    }

    #[test]
    fn a_lost_database_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shallop.db");
        open(&path).unwrap();
        let log = std::fs::read(dir.path().join("shallop.db-wal")).unwrap();
        assert!(!log.is_empty());
        for lose in
            [|path: &Path| std::fs::write(path, b"").unwrap(), |path: &Path| std::fs::remove_file(path).unwrap()]
        {
            lose(&path);
            let message = open(&path).unwrap_err().to_string();
            assert!(message.contains("shallop.db-wal") && message.contains("damaged"), "{message}");
            assert_eq!(std::fs::read(dir.path().join("shallop.db-wal")).unwrap(), log);
        }
    }

    #[test]
    fn garbage_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shallop.db");
        std::fs::write(&path, vec![7; 8192]).unwrap();
        let message = open(&path).unwrap_err().to_string();
        assert!(message.contains("shallop.db") && message.contains("damaged"), "{message}");
    }
}
