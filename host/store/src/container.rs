//! Containers: a row each, and a folder with the writable layer and a lock that its supervisor holds while it runs.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde_json::Value;
use shallop_oci::{Digest, time};

use crate::error::{Doing, Result, StoreError};
use crate::files::{self, Lock};
use crate::{Store, image, lease, names, platform};

const COLUMNS: &str =
    "id, name, image, image_name, command, layers, config, created, state, pid, exit_code, started, finished";
/// The exit code of a container whose supervisor died: as if by SIGKILL.
const KILLED: i32 = 137;

/// How long a container may take from its creation to its start.
const START_SECONDS: i64 = 600;

/// What a new container is made from.
#[derive(Debug, Clone)]
pub struct NewContainer {
    /// A random one when `None`.
    pub name: Option<String>,
    pub image: Digest,
    /// The image as the user named it.
    pub image_name: String,
    pub command: Vec<String>,
    /// DiffIDs, lowest first.
    pub layers: Vec<Digest>,
    /// Whatever the engine needs to start it.
    pub config: Value,
}

/// A container.
#[derive(Debug, Clone, PartialEq)]
pub struct Container {
    /// 64 hexadecimal digits.
    pub id: String,
    pub name: String,
    pub image: Digest,
    pub image_name: String,
    pub command: Vec<String>,
    pub layers: Vec<Digest>,
    pub config: Value,
    /// Seconds since 1970, as the following times.
    pub created: i64,
    pub state: ContainerState,
    pub started: Option<i64>,
    pub finished: Option<i64>,
}

/// Where a container is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerState {
    Created,
    /// `pid` is the worker's. What counts is the lock that the supervisor holds.
    Running {
        pid: u32,
    },
    Exited {
        code: i32,
    },
}

/// Files of a container's writable layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpperPaths {
    pub journal: PathBuf,
    pub data: PathBuf,
}

impl Store {
    /// A container's folder.
    pub fn container_dir(&self, id: &str) -> PathBuf {
        self.dirs.containers().join(id)
    }

    /// The files of its writable layer.
    pub fn container_upper(&self, id: &str) -> UpperPaths {
        let dir = self.container_dir(id);
        UpperPaths { journal: dir.join("journal"), data: dir.join("data") }
    }

    /// Creates a container: its folder with an empty writable layer, then its row.
    ///
    /// # Errors
    /// [`StoreError::NameInUse`], [`StoreError::InvalidName`], [`StoreError::NoSuchLayer`].
    pub fn create_container(&self, new: &NewContainer) -> Result<Container> {
        if let Some(name) = &new.name {
            names::check(name)?;
        }
        let id = names::random_id()?;
        files::create_dir(&self.dirs.locks())?;
        let _sweep = lease::share_sweep(&self.dirs)?;
        for layer in &new.layers {
            self.layer_info(layer)?;
        }
        let made = self.create_upper(&id).and_then(|()| self.insert_container(&id, new));
        if made.is_err() {
            files::remove(&self.container_dir(&id))?;
        }
        made
    }

    fn create_upper(&self, id: &str) -> Result<()> {
        files::create_dir(&self.container_dir(id))?;
        let upper = self.container_upper(id);
        files::create_file(&upper.data)?;
        let journal = shallop_layer::upper::empty_journal();
        files::create_file(&upper.journal)?.write_all(&journal).doing("writing", &upper.journal)
    }

    fn insert_container(&self, id: &str, new: &NewContainer) -> Result<Container> {
        let json = |what: &'static str| move |e: serde_json::Error| StoreError::invalid(what, e);
        let command = serde_json::to_string(&new.command).map_err(json("the command"))?;
        let layers = serde_json::to_string(&new.layers).map_err(json("the list of layers"))?;
        let config = serde_json::to_string(&new.config).map_err(json("the container's configuration"))?;
        self.database.write(|t| {
            let name = free_name(t, new.name.as_deref())?;
            t.execute(
                "INSERT INTO container (id, name, image, image_name, command, layers, config, created, state)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'created')",
                params![
                    id,
                    name,
                    new.image.to_string(),
                    new.image_name,
                    command,
                    layers,
                    config,
                    time::now().as_secs() as i64
                ],
            )?;
            by_id(t, id)
        })
    }

    /// Takes the lock that says that a container runs. Take it before the state becomes running, drop it after the state
    /// became exited.
    ///
    /// # Errors
    /// [`StoreError::NoSuchContainer`]; [`StoreError::Conflict`] when it runs already.
    pub fn lock_container(&self, id: &str) -> Result<Lock> {
        self.database.read(|t| by_id(t, id))?;
        let lock = Lock::try_exclusive(&self.container_dir(id).join("lock"))?;
        lock.ok_or_else(|| StoreError::Conflict(format!("container {id} is already running")))
    }

    /// Writes down a change of state, with its time.
    ///
    /// # Errors
    /// [`StoreError::NoSuchContainer`].
    pub fn set_container_state(&self, id: &str, state: ContainerState) -> Result<()> {
        self.database.write(|t| write_state(t, id, state))
    }

    /// Gives a container another name.
    ///
    /// # Errors
    /// [`StoreError::NameInUse`], [`StoreError::InvalidName`], [`StoreError::NoSuchContainer`].
    pub fn rename_container(&self, id: &str, name: &str) -> Result<()> {
        names::check(name)?;
        self.database.write(|t| {
            let name = free_name(t, Some(name))?;
            match t.execute("UPDATE container SET name = ? WHERE id = ?", params![name, id])? {
                0 => Err(StoreError::NoSuchContainer { name: id.to_owned() }),
                _ => Ok(()),
            }
        })
    }

    /// All containers, newest first. Those whose supervisor died are exited with code 137.
    ///
    /// # Errors
    /// Those of the database.
    pub fn containers(&self) -> Result<Vec<Container>> {
        let all = self.database.read(|t| {
            let mut statement =
                t.prepare(&format!("SELECT {COLUMNS} FROM container ORDER BY created DESC, rowid DESC"))?;
            let rows = statement.query_map([], |row| Ok(container(row)))?;
            rows.map(|row| row?).collect::<Result<Vec<_>>>()
        })?;
        all.into_iter().map(|container| self.observed(container)).collect()
    }

    /// Finds a container by id, by name, or by the beginning of its id.
    ///
    /// # Errors
    /// [`StoreError::NoSuchContainer`], [`StoreError::AmbiguousContainer`].
    pub fn container(&self, name: &str) -> Result<Container> {
        let found = self.database.read(|t| find(t, name))?;
        self.observed(found)
    }

    /// Removes a container that does not run, with its folder.
    ///
    /// # Errors
    /// [`StoreError::NoSuchContainer`]; [`StoreError::Conflict`] when it runs.
    pub fn remove_container(&self, id: &str) -> Result<()> {
        self.database.read(|t| by_id(t, id))?;
        let dir = self.container_dir(id);
        let lock = if dir.is_dir() { Some(Lock::try_exclusive(&dir.join("lock"))?) } else { None };
        if let Some(None) = lock {
            return Err(StoreError::Conflict(format!(
                "cannot remove container \"{id}\": container is running: stop the container before removing or force remove"
            )));
        }
        // It may have filled the disk, and the database needs some. What fails here is told when the folder is removed.
        let _ = File::options().write(true).open(self.container_upper(id).data).and_then(|data| data.set_len(0));
        let removed = self.database.write(|t| Ok(t.execute("DELETE FROM container WHERE id = ?", [id])?))?;
        if removed == 0 {
            return Err(StoreError::NoSuchContainer { name: id.to_owned() });
        }
        let _lock = platform::kept_while_removing(lock);
        files::remove(&dir)
    }

    /// Removes the folders of containers whose creation was cut off, unless somebody is at work right now.
    fn remove_unrecorded_folders(&self) -> Result<()> {
        let Some(_sweep) = lease::try_own_sweep(&self.dirs)? else { return Ok(()) };
        let recorded = self.database.read(|t| {
            let mut statement = t.prepare_cached("SELECT id FROM container")?;
            Ok(statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<HashSet<String>>>()?)
        })?;
        self.collect_containers(&recorded)
    }

    /// Removes the containers that were to go at their end (`AutoRemove` in their configuration), whose supervisor was
    /// killed before it could remove them.
    ///
    /// # Errors
    /// Those of the database and of the file system.
    pub fn remove_abandoned_containers(&self) -> Result<()> {
        // One that is only created is about to be started, if it is young.
        let sql = "SELECT id FROM container WHERE json_extract(config, '$.AutoRemove')
            AND (state <> 'created' OR created < ?)";
        let young = time::now().as_secs() as i64 - START_SECONDS;
        let ids: Vec<String> = self.database.read(|t| {
            let mut statement = t.prepare_cached(sql)?;
            Ok(statement.query_map([young], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
        })?;
        for id in ids {
            match self.remove_container(&id) {
                // It runs, or another process was faster.
                Err(StoreError::Conflict(_) | StoreError::NoSuchContainer { .. }) => {}
                removed => removed?,
            }
        }
        self.remove_unrecorded_folders()
    }

    /// Ids of the containers whose supervisor lives.
    pub(crate) fn running_containers(&self) -> Result<Vec<String>> {
        let ids: Vec<String> = self.database.read(|t| {
            let mut statement = t.prepare("SELECT id FROM container WHERE state = 'running'")?;
            Ok(statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
        })?;
        let mut running = Vec::new();
        for id in ids {
            if Lock::is_held(&self.container_dir(&id).join("lock"))? {
                running.push(id);
            }
        }
        Ok(running)
    }

    /// A container as it is: one that should run but whose lock is free was killed.
    fn observed(&self, container: Container) -> Result<Container> {
        let running = matches!(container.state, ContainerState::Running { .. });
        if !running || Lock::is_held(&self.container_dir(&container.id).join("lock"))? {
            return Ok(container);
        }
        self.database.write(|t| {
            // It may have ended properly since it was read.
            let now = by_id(t, &container.id)?;
            if let ContainerState::Running { .. } = now.state {
                write_state(t, &container.id, ContainerState::Exited { code: KILLED })?;
            }
            by_id(t, &container.id)
        })
    }
}

fn write_state(t: &Transaction, id: &str, state: ContainerState) -> Result<()> {
    let now = time::now().as_secs() as i64;
    let changed = match state {
        ContainerState::Created => {
            let sql = "UPDATE container SET state = 'created', pid = NULL, exit_code = NULL WHERE id = ?";
            t.execute(sql, [id])?
        }
        ContainerState::Running { pid } => {
            let sql = "UPDATE container SET state = 'running', pid = ?, exit_code = NULL, started = ?, finished = NULL WHERE id = ?";
            t.execute(sql, params![pid, now, id])?
        }
        ContainerState::Exited { code } => {
            let sql = "UPDATE container SET state = 'exited', pid = NULL, exit_code = ?, finished = ? WHERE id = ?";
            t.execute(sql, params![code, now, id])?
        }
    };
    if changed == 0 { Err(StoreError::NoSuchContainer { name: id.to_owned() }) } else { Ok(()) }
}

/// The wanted name when nobody has it, or a random one that nobody has.
fn free_name(t: &Transaction, wanted: Option<&str>) -> Result<String> {
    let owner = |name: &str| {
        t.query_row("SELECT id FROM container WHERE name = ?", [name], |row| row.get::<_, String>(0)).optional()
    };
    if let Some(name) = wanted {
        return match owner(name)? {
            Some(id) => Err(StoreError::NameInUse { name: name.to_owned(), id }),
            None => Ok(name.to_owned()),
        };
    }
    for attempt in 0..1000 {
        let name = names::random(attempt)?;
        if owner(&name)?.is_none() {
            return Ok(name);
        }
    }
    Err(StoreError::Busy("no free container name was found".to_owned()))
}

fn by_id(t: &Transaction, id: &str) -> Result<Container> {
    find_where(t, "id = ?", id)?.into_iter().next().ok_or_else(|| StoreError::NoSuchContainer { name: id.to_owned() })
}

fn find(t: &Transaction, name: &str) -> Result<Container> {
    for condition in ["id = ?", "name = ?"] {
        if let Some(found) = find_where(t, condition, name)?.into_iter().next() {
            return Ok(found);
        }
    }
    let is_prefix = !name.is_empty() && name.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
    let mut found = if is_prefix { find_where(t, "id GLOB ? || '*' LIMIT 2", name)? } else { Vec::new() };
    match (found.pop(), found.is_empty()) {
        (Some(container), true) => Ok(container),
        (Some(_), false) => Err(StoreError::AmbiguousContainer { prefix: name.to_owned() }),
        (None, _) => Err(StoreError::NoSuchContainer { name: name.to_owned() }),
    }
}

fn find_where(t: &Transaction, condition: &str, value: &str) -> Result<Vec<Container>> {
    let mut statement = t.prepare_cached(&format!("SELECT {COLUMNS} FROM container WHERE {condition}"))?;
    let rows = statement.query_map([value], |row| Ok(container(row)))?;
    rows.map(|row| row?).collect()
}

/// A row of [`COLUMNS`].
fn container(row: &Row) -> Result<Container> {
    let id: String = row.get(0)?;
    let bad = |what: &str| {
        let what = format!("{what} of container {id} in the database");
        move |e: serde_json::Error| StoreError::invalid(what, e)
    };
    let state = match row.get::<_, String>(8)?.as_str() {
        "running" => ContainerState::Running { pid: row.get::<_, Option<u32>>(9)?.unwrap_or(0) },
        "exited" => ContainerState::Exited { code: row.get::<_, Option<i32>>(10)?.unwrap_or(KILLED) },
        _ => ContainerState::Created,
    };
    Ok(Container {
        name: row.get(1)?,
        image: image::column(&row.get::<_, String>(2)?)?,
        image_name: row.get(3)?,
        command: serde_json::from_str(&row.get::<_, String>(4)?).map_err(bad("the command"))?,
        layers: serde_json::from_str(&row.get::<_, String>(5)?).map_err(bad("the list of layers"))?,
        config: serde_json::from_str(&row.get::<_, String>(6)?).map_err(bad("the configuration"))?,
        created: row.get(7)?,
        state,
        started: row.get(11)?,
        finished: row.get(12)?,
        id,
    })
}
