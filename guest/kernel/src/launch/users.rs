//! Who the first program runs as: the spec's user, looked up in the image's /etc/passwd and /etc/group.

use super::{FAILED, Failure};
use crate::kernel::Kernel;
use crate::task::Credentials;
use crate::vfs::path::{Limits, Walk};
use crate::vfs::{FileKind, Location};

/// Most bytes of /etc/passwd and /etc/group that are read.
const FILE_MAX: usize = 8 << 20;

/// A user of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    pub home: String,
}

/// Finds the user that `wanted` names: empty, `user`, `uid`, `user:group` or `uid:gid`.
pub fn find(k: &Kernel, wanted: &str) -> Result<User, Failure> {
    // Most programs run as root without a group of their own choice; both files are read for them as well.
    let (passwd, group) = (read(k, b"/etc/passwd"), read(k, b"/etc/group"));
    choose(wanted, &passwd, &group).map_err(|text| Failure::new(FAILED, text))
}

/// A file's text; nothing when there is none.
fn read(k: &Kernel, path: &[u8]) -> String {
    let credentials = Credentials::new(0, 0, Vec::new());
    let root = k.mounts.root();
    let walk =
        Walk { mounts: &k.mounts, credentials: &credentials, root: &root, kernel: None, limits: Limits::default() };
    match walk.resolve(&root, path, true) {
        Ok(place) if place.inode.kind() == FileKind::Regular => String::from_utf8_lossy(&content(&place)).into_owned(),
        _ => String::new(),
    }
}

fn content(place: &Location) -> Vec<u8> {
    let Ok(file) = place.inode.open(0) else { return Vec::new() };
    let mut text = Vec::new();
    let mut chunk = [0; 4096];
    while text.len() < FILE_MAX {
        match file.read_at(text.len() as u64, &mut chunk, true) {
            Ok(count) if count > 0 => text.extend_from_slice(&chunk[..count]),
            _ => break,
        }
    }
    text
}

/// The words of a line of passwd(5) or group(5).
fn lines(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(':').collect())
}

fn number(word: Option<&&str>) -> Option<u32> {
    word?.parse().ok()
}

fn choose(wanted: &str, passwd: &str, group: &str) -> Result<User, String> {
    let (name, group_name) = match wanted.split_once(':') {
        Some((name, group)) => (name, group),
        None => (wanted, ""),
    };
    let asked = if name.is_empty() { "0" } else { name };
    let by_number: Option<u32> = asked.parse().ok().filter(|id: &u32| *id < u32::MAX);
    let found = lines(passwd)
        .find(|line| line.first() == Some(&asked) || by_number.is_some() && number(line.get(2)) == by_number);
    let mut user = match (&found, by_number) {
        (Some(line), _) => User {
            uid: number(line.get(2)).ok_or_else(|| format!("user {asked} has no number in /etc/passwd"))?,
            gid: number(line.get(3)).unwrap_or(0),
            groups: Vec::new(),
            home: line.get(5).filter(|home| !home.is_empty()).unwrap_or(&"/").to_string(),
        },
        (None, Some(uid)) => User { uid, gid: 0, groups: Vec::new(), home: "/".into() },
        (None, None) => return Err(format!("unable to find user {asked}: no matching entries in passwd file")),
    };
    if group_name.is_empty() {
        let login = found.as_ref().and_then(|line| line.first()).copied().unwrap_or_default();
        user.groups = memberships(login, group);
    } else {
        user.gid = find_group(group_name, group)?;
    }
    // The main group is among the others too, as container runtimes have it.
    if !user.groups.contains(&user.gid) {
        user.groups.insert(0, user.gid);
    }
    Ok(user)
}

/// Groups that list a user as member.
fn memberships(login: &str, group: &str) -> Vec<u32> {
    let member =
        |line: &Vec<&str>| line.get(3).is_some_and(|list| list.split(',').any(|m| !m.is_empty() && m == login));
    lines(group).filter(member).filter_map(|line| number(line.get(2))).collect()
}

fn find_group(name: &str, group: &str) -> Result<u32, String> {
    let by_number: Option<u32> = name.parse().ok().filter(|id: &u32| *id < u32::MAX);
    let line = lines(group).find(|line| line.first() == Some(&name));
    line.and_then(|line| number(line.get(2)))
        .or(by_number)
        .ok_or_else(|| format!("unable to find group {name}: no matching entries in group file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:web:/var/www:/bin/false\n";
    const GROUP: &str = "root:x:0:\nweb:x:34:\naudio:x:29:web,root\nadm:x:4:root\n";

    #[test]
    fn users_are_found_by_name_and_number() {
        let root = choose("", PASSWD, GROUP).unwrap();
        assert_eq!(root, User { uid: 0, gid: 0, groups: vec![0, 29, 4], home: "/root".into() });
        let web = choose("web", PASSWD, GROUP).unwrap();
        assert_eq!(web, User { uid: 33, gid: 34, groups: vec![34, 29], home: "/var/www".into() });
        assert_eq!(choose("33", PASSWD, GROUP).unwrap(), web);
        assert_eq!(choose("33:audio", PASSWD, GROUP).unwrap().gid, 29);
        assert_eq!(choose("33:audio", PASSWD, GROUP).unwrap().groups, [29]);
        assert_eq!(
            choose("1000:1001", PASSWD, GROUP).unwrap(),
            User { uid: 1000, gid: 1001, groups: vec![1001], home: "/".into() }
        );
        assert!(choose("nobody", PASSWD, GROUP).is_err());
        assert!(choose("root:nogroup", PASSWD, GROUP).is_err());
    }
}
