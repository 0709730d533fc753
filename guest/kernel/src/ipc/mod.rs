//! System V IPC (sysvipc(7)): `Ids` numbers what `shm`, `sem` and `msg` keep, `Permissions` says who may use it.

pub mod msg;
pub mod sem;
pub mod shm;

use std::collections::BTreeMap;

use shallop_linux_abi::Errno;
use shallop_linux_abi::ipc::*;

use crate::task::credentials::cap;
use crate::task::{Credentials, Pid};

/// Ids are a slot's index and, above it, how often ids were given out.
const INDEX_BITS: u32 = 15;

/// Everything of one sandbox.
#[derive(Default)]
pub struct Ipc {
    pub shm: Ids<shm::Segment>,
    pub sem: Ids<sem::Set>,
    pub msg: Ids<msg::Queue>,
}

/// struct ipc_perm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permissions {
    pub key: i32,
    pub uid: u32,
    pub gid: u32,
    pub creator_uid: u32,
    pub creator_gid: u32,
    pub mode: u32,
    pub sequence: u32,
}

impl Permissions {
    /// EACCES unless the mode grants what `wanted` asks for, in any of its three octal digits.
    pub fn check(&self, who: &Credentials, wanted: u32) -> Result<(), Errno> {
        let wanted = wanted >> 6 | wanted >> 3 | wanted;
        let granted = if who.euid == self.creator_uid || who.euid == self.uid {
            self.mode >> 6
        } else if who.in_group(self.creator_gid) || who.in_group(self.gid) {
            self.mode >> 3
        } else {
            self.mode
        };
        if wanted & !granted & 7 == 0 || who.has(cap::IPC_OWNER) { Ok(()) } else { Err(Errno::EACCES) }
    }

    /// EPERM unless `who` owns or made it.
    pub fn check_owner(&self, who: &Credentials) -> Result<(), Errno> {
        let owner = who.euid == self.creator_uid || who.euid == self.uid;
        if owner || who.has(cap::SYS_ADMIN) { Ok(()) } else { Err(Errno::EPERM) }
    }
}

/// Something with an id.
pub struct Entry<T> {
    pub permissions: Permissions,
    pub item: T,
}

/// All things of one kind, by index.
pub struct Ids<T> {
    entries: BTreeMap<u32, Entry<T>>,
    sequence: u32,
}

impl<T> Default for Ids<T> {
    fn default() -> Ids<T> {
        Ids { entries: BTreeMap::new(), sequence: 0 }
    }
}

/// The words of shmget(2), semget(2) and msgget(2).
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    pub key: i32,
    /// IPC_CREAT, IPC_EXCL and the mode.
    pub flags: u32,
    /// How many there may be.
    pub limit: usize,
}

impl<T> Ids<T> {
    /// The id for a key: of what is there (`fits` may object), or of what `make` makes.
    pub fn get(
        &mut self,
        wanted: Wanted,
        who: &Credentials,
        fits: impl FnOnce(&T) -> Result<(), Errno>,
        make: impl FnOnce() -> Result<T, Errno>,
    ) -> Result<u32, Errno> {
        let Wanted { key, flags, limit } = wanted;
        let found = self.entries.iter().find(|(_, entry)| key != IPC_PRIVATE && entry.permissions.key == key);
        if let Some((index, entry)) = found {
            if flags & IPC_CREAT != 0 && flags & IPC_EXCL != 0 {
                return Err(Errno::EEXIST);
            }
            fits(&entry.item)?;
            entry.permissions.check(who, flags & 0o777)?;
            return Ok(id(*index, &entry.permissions));
        }
        if key != IPC_PRIVATE && flags & IPC_CREAT == 0 {
            return Err(Errno::ENOENT);
        }
        if self.entries.len() >= limit {
            return Err(Errno::ENOSPC);
        }
        let item = make()?;
        let index = (0..).find(|index| !self.entries.contains_key(index)).ok_or(Errno::ENOSPC)?;
        self.sequence = (self.sequence + 1) & 0xffff;
        let permissions = Permissions {
            key,
            uid: who.euid,
            gid: who.egid,
            creator_uid: who.euid,
            creator_gid: who.egid,
            mode: flags & 0o777,
            sequence: self.sequence,
        };
        self.entries.insert(index, Entry { permissions, item });
        Ok(id(index, &permissions))
    }

    /// EINVAL when there is nothing of this id; EIDRM when its place is another's.
    pub fn find(&mut self, wanted: u64) -> Result<&mut Entry<T>, Errno> {
        let wanted = i32::try_from(wanted as i32 as i64).ok().filter(|id| *id >= 0).ok_or(Errno::EINVAL)? as u32;
        let index = wanted & ((1 << INDEX_BITS) - 1);
        let entry = self.entries.get_mut(&index).ok_or(Errno::EINVAL)?;
        if id(index, &entry.permissions) == wanted { Ok(entry) } else { Err(Errno::EIDRM) }
    }

    /// What a command that reads asks for, and what the call returns: `IPC_STAT` has an id, the others go through all by
    /// index and return ids. `who` is to have the right.
    pub fn read(
        &mut self,
        wanted: u64,
        command: u32,
        who: Option<&Credentials>,
    ) -> Result<(u64, &mut Entry<T>), Errno> {
        let (returned, entry) = match command {
            IPC_STAT => (0, self.find(wanted)?),
            _ => {
                let index = u32::try_from(wanted).map_err(|_| Errno::EINVAL)?;
                let entry = self.entries.get_mut(&index).ok_or(Errno::EINVAL)?;
                (id(index, &entry.permissions).into(), entry)
            }
        };
        who.map_or(Ok(()), |who| entry.permissions.check(who, 0o444))?;
        Ok((returned, entry))
    }

    pub fn remove(&mut self, id: u64) -> Option<T> {
        self.entries.remove(&(id as u32 & ((1 << INDEX_BITS) - 1))).map(|entry| entry.item)
    }

    pub fn retain(&mut self, mut keep: impl FnMut(&Entry<T>) -> bool) {
        self.entries.retain(|_, entry| keep(entry));
    }

    /// (id, entry), by index.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Entry<T>)> {
        self.entries.iter().map(|(index, entry)| (id(*index, &entry.permissions), entry))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry<T>> {
        self.entries.values_mut()
    }

    /// The highest index in use, 0 without any.
    pub fn last_index(&self) -> u64 {
        self.entries.keys().next_back().copied().unwrap_or(0).into()
    }
}

fn id(index: u32, permissions: &Permissions) -> u32 {
    permissions.sequence << INDEX_BITS & 0x7fff_ffff | index
}

impl Ipc {
    /// A process ended: what it asked to be undone is undone.
    pub fn process_ended(&mut self, pid: Pid) {
        for set in self.sem.iter_mut() {
            set.item.undo(pid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(key: i32, flags: u32) -> Wanted {
        Wanted { key, flags, limit: 2 }
    }

    #[test]
    fn keys_find_what_was_made_and_ids_are_not_reused() {
        let root = Credentials::new(0, 0, Vec::new());
        let mut ids = Ids::default();
        let get = |ids: &mut Ids<u8>, key, flags| ids.get(wanted(key, flags), &root, |_| Ok(()), || Ok(7));
        assert_eq!(get(&mut ids, 5, 0), Err(Errno::ENOENT));
        let first = get(&mut ids, 5, IPC_CREAT | 0o600).unwrap();
        assert_eq!(get(&mut ids, 5, 0), Ok(first));
        assert_eq!(get(&mut ids, 5, IPC_CREAT | IPC_EXCL), Err(Errno::EEXIST));
        let private = get(&mut ids, IPC_PRIVATE, 0).unwrap();
        assert_eq!(get(&mut ids, IPC_PRIVATE, 0), Err(Errno::ENOSPC));
        assert_eq!(ids.remove(first.into()), Some(7));
        let second = get(&mut ids, 5, IPC_CREAT).unwrap();
        assert_ne!(first, second);
        assert_eq!(ids.find(first.into()).err(), Some(Errno::EIDRM));
        assert_eq!(ids.find(u64::from(private) + 1000).err(), Some(Errno::EINVAL));
        assert_eq!(ids.find(u64::MAX).err(), Some(Errno::EINVAL));
    }

    #[test]
    fn modes_bind_those_who_are_not_root() {
        let (owner, other) = (Credentials::new(5, 5, Vec::new()), Credentials::new(6, 6, Vec::new()));
        let permissions =
            Permissions { key: 1, uid: 5, gid: 5, creator_uid: 5, creator_gid: 5, mode: 0o640, sequence: 1 };
        assert!(permissions.check(&owner, 0o600).is_ok());
        assert_eq!(permissions.check(&other, 0o444), Err(Errno::EACCES));
        assert_eq!(permissions.check_owner(&other), Err(Errno::EPERM));
    }
}
