//! Changing directories: making, linking, removing and renaming files.
//!
//! Each change is one record of the journal, so that a crash leaves it done or not begun.

use std::rc::Rc;

use shallop_layer::upper::{Attr, Body, File, NewBody, Op};
use shallop_linux_abi::Errno;

use super::node::{Node, from_timespec};
use crate::vfs::{FileKind, NewAttr, NewNode};

/// Longest file name (NAME_MAX).
const NAME_MAX: usize = 255;

/// Makes a new file.
pub(super) fn create(dir: &Node, name: &[u8], new: &NewNode, attr: &NewAttr) -> Result<Rc<Node>, Errno> {
    check_room(dir, name)?;
    dir.overlay().check_room()?;
    dir.take_over()?;
    let overlay = dir.overlay();
    let ino = overlay.upper.borrow_mut().new_ino().map_err(|_| Errno::ENOSPC)?;
    let (attr, body) = describe(new, attr);
    overlay.record(&[Op::Node { ino, attr, body }, Op::Link { dir: dir.ino(), name: name.to_vec(), ino }])?;
    dir.touch_names();
    let node = dir.child(name);
    overlay.changed();
    node
}

/// Makes a regular file without a name. It goes with its last holder, or with the next start.
pub(super) fn create_nameless(dir: &Node, attr: &NewAttr, linkable: bool) -> Result<Rc<Node>, Errno> {
    if dir.attr()?.nlink == 0 {
        return Err(Errno::ENOENT);
    }
    let overlay = dir.overlay();
    overlay.check_room()?;
    let ino = overlay.upper.borrow_mut().new_ino().map_err(|_| Errno::ENOSPC)?;
    let (attr, body) = describe(&NewNode::Regular, attr);
    overlay.record(&[Op::Node { ino, attr: Attr { nlink: 0, ..attr }, body }])?;
    let node = overlay.node(File { ino, lower: None })?;
    node.set_linkable(linkable);
    overlay.changed();
    Ok(node)
}

/// Gives a file one more name.
pub(super) fn link(dir: &Node, name: &[u8], target: &Node) -> Result<(), Errno> {
    if target.is_directory() {
        return Err(Errno::EPERM);
    }
    check_room(dir, name)?;
    dir.overlay().check_room()?;
    let nlink = target.attr()?.nlink;
    if nlink == 0 && !target.take_linkable() {
        return Err(Errno::ENOENT);
    }
    if nlink == u32::MAX {
        return Err(Errno::EMLINK);
    }
    dir.take_over()?;
    target.take_over()?;
    let overlay = dir.overlay();
    let linked = Op::Link { dir: dir.ino(), name: name.to_vec(), ino: target.ino() };
    overlay.record(&[linked, relinked(target, nlink + 1)?])?;
    dir.touch_names();
    dir.remember(name, &target.me()?);
    overlay.changed();
    Ok(())
}

/// unlink(2) of what is no directory.
pub(super) fn unlink(dir: &Node, name: &[u8]) -> Result<(), Errno> {
    let node = dir.child(name)?;
    if node.is_directory() {
        return Err(Errno::EISDIR);
    }
    dir.take_over()?;
    let mut ops = vec![gone(dir, name)?];
    lose_name(dir, name, &node, &mut ops)?;
    dir.overlay().record(&ops)?;
    dir.touch_names();
    drop(node);
    dir.overlay().changed();
    Ok(())
}

/// rmdir(2).
pub(super) fn remove_dir(dir: &Node, name: &[u8]) -> Result<(), Errno> {
    let node = dir.child(name)?;
    if !node.is_directory() {
        return Err(Errno::ENOTDIR);
    }
    check_empty(&node)?;
    dir.take_over()?;
    let mut ops = vec![gone(dir, name)?];
    lose_name(dir, name, &node, &mut ops)?;
    dir.overlay().record(&ops)?;
    dir.touch_names();
    node.set_parent(None);
    drop(node);
    dir.overlay().changed();
    Ok(())
}

/// Moves `name` of `from` to `new_name` of `to`, over what is there.
pub(super) fn rename(from: &Node, name: &[u8], to: &Node, new_name: &[u8]) -> Result<(), Errno> {
    let node = from.child(name)?;
    let old = match to.child(new_name) {
        Ok(old) => Some(old),
        Err(Errno::ENOENT) => None,
        Err(errno) => return Err(errno),
    };
    if old.as_ref().is_some_and(|old| Rc::ptr_eq(old, &node)) {
        return Ok(());
    }
    match &old {
        Some(old) => check_replace(&node, old)?,
        None => check_room(to, new_name)?,
    }
    if node.is_directory() && is_inside(to, &node)? {
        return Err(Errno::EINVAL);
    }
    from.take_over()?;
    to.take_over()?;
    node.take_over()?;
    let mut ops = vec![gone(from, name)?];
    if let Some(old) = &old {
        lose_name(to, new_name, old, &mut ops)?;
        old.set_parent(None);
    }
    ops.push(Op::Link { dir: to.ino(), name: new_name.to_vec(), ino: node.ino() });
    ops.push(relinked(&node, node.attr()?.nlink)?);
    from.overlay().record(&ops)?;
    from.forget(name);
    to.remember(new_name, &node);
    if node.is_directory() {
        node.set_parent(Some(to.me()?));
    }
    from.touch_names();
    to.touch_names();
    drop(old);
    from.overlay().changed();
    Ok(())
}

/// EEXIST, ENAMETOOLONG, or ENOENT when the directory itself was removed.
fn check_room(dir: &Node, name: &[u8]) -> Result<(), Errno> {
    match dir.child(name) {
        Ok(_) => return Err(Errno::EEXIST),
        Err(Errno::ENOENT) => {}
        Err(errno) => return Err(errno),
    }
    if name.len() > NAME_MAX {
        return Err(Errno::ENAMETOOLONG);
    }
    if dir.attr()?.nlink == 0 { Err(Errno::ENOENT) } else { Ok(()) }
}

fn check_empty(dir: &Node) -> Result<(), Errno> {
    match dir.read_tree(|tree, file| Ok(tree.children(file)?.is_empty()))? {
        true => Ok(()),
        false => Err(Errno::ENOTEMPTY),
    }
}

/// ENOTDIR, EISDIR or ENOTEMPTY unless `node` may take `old`'s name.
fn check_replace(node: &Node, old: &Node) -> Result<(), Errno> {
    match (node.is_directory(), old.is_directory()) {
        (true, false) => Err(Errno::ENOTDIR),
        (false, true) => Err(Errno::EISDIR),
        (true, true) => check_empty(old),
        (false, false) => Ok(()),
    }
}

/// Whether `dir` is `ancestor` or below it.
fn is_inside(dir: &Node, ancestor: &Rc<Node>) -> Result<bool, Errno> {
    let mut at = Some(dir.me()?);
    while let Some(node) = at {
        if Rc::ptr_eq(&node, ancestor) {
            return Ok(true);
        }
        at = node.parent();
    }
    Ok(false)
}

/// The operation that takes `name` out of `dir`, which was taken over.
fn gone(dir: &Node, name: &[u8]) -> Result<Op, Errno> {
    let whiteout = dir.read_tree(|tree, file| match tree.upper.inode(file.ino).map(|inode| &inode.body) {
        Some(Body::Directory(directory)) => match &directory.lower {
            Some(lower) => Ok(tree.merged.lookup(lower, name)?.is_some()),
            None => Ok(false),
        },
        _ => Ok(false),
    })?;
    Ok(Op::Unlink { dir: dir.ino(), name: name.to_vec(), whiteout })
}

/// What losing a name means for the file: one link fewer. A file of a lower layer that nobody holds needs no word.
fn lose_name(dir: &Node, name: &[u8], node: &Rc<Node>, ops: &mut Vec<Op>) -> Result<(), Errno> {
    dir.forget(name);
    let nlink = if node.is_directory() { 0 } else { node.attr()?.nlink.saturating_sub(1) };
    let known = dir.overlay().upper.borrow().inode(node.ino()).is_some();
    // The caller's own reference is the one that does not count.
    if known || nlink > 0 || Rc::strong_count(node) > 1 {
        node.take_over()?;
        ops.push(relinked(node, nlink)?);
    }
    Ok(())
}

/// The operation that sets the number of links, and ctime.
fn relinked(node: &Node, nlink: u32) -> Result<Op, Errno> {
    let attr = Attr { nlink, ctime: node.overlay().now(), ..node.attr()? };
    Ok(Op::Attr { ino: node.ino(), attr })
}

/// Attributes and body of a new file.
fn describe(new: &NewNode, attr: &NewAttr) -> (Attr, NewBody) {
    let (kind, rdev, size, body) = match new {
        NewNode::Regular => (FileKind::Regular, (0, 0), 0, NewBody::Regular(None)),
        NewNode::Directory => (FileKind::Directory, (0, 0), 0, NewBody::Directory(Vec::new())),
        NewNode::Symlink(text) => (FileKind::Symlink, (0, 0), text.len() as u64, NewBody::Symlink(text.clone())),
        NewNode::Fifo => (FileKind::Fifo, (0, 0), 0, NewBody::Special),
        NewNode::Socket => (FileKind::Socket, (0, 0), 0, NewBody::Special),
        NewNode::CharDevice(major, minor) => (FileKind::CharDevice, (*major, *minor), 0, NewBody::Special),
        NewNode::BlockDevice(major, minor) => (FileKind::BlockDevice, (*major, *minor), 0, NewBody::Special),
    };
    let mode = if kind == FileKind::Symlink { 0o777 } else { attr.mode & 0o7777 };
    let now = from_timespec(attr.now);
    let attr = Attr {
        mode: kind.mode_bits() | mode,
        uid: attr.uid,
        gid: attr.gid,
        nlink: 1,
        rdev,
        size,
        atime: now,
        mtime: now,
        ctime: now,
        btime: now,
    };
    (attr, body)
}
