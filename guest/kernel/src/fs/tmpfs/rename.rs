//! rename(2) inside one tmpfs: the rules for what may replace what.

use std::rc::Rc;

use shallop_linux_abi::Errno;

use super::node::Node;

/// Moves `name` of `from` to `new_name` of `to`, over what is there.
pub(super) fn rename(from: &Node, name: &[u8], to: &Node, new_name: &[u8]) -> Result<(), Errno> {
    let node = from.directory()?.borrow().get(name).cloned().ok_or(Errno::ENOENT)?;
    let old = to.living_directory()?.borrow().get(new_name).cloned();
    if let Some(old) = &old {
        if Rc::ptr_eq(old, &node) {
            return Ok(());
        }
        check_replace(&node, old)?;
    }
    if node.is_directory() && is_inside(to, &node)? {
        return Err(Errno::EINVAL);
    }
    if let Some(old) = &old {
        replace(to, old);
    }
    from.directory()?.borrow_mut().remove(name);
    to.directory()?.borrow_mut().insert(new_name, node.clone());
    if node.is_directory() {
        from.relink(-1);
        to.relink(1);
        *node.parent.borrow_mut() = Rc::downgrade(&to.me()?);
    }
    node.relink(0);
    from.touch();
    to.touch();
    Ok(())
}

/// ENOTDIR, EISDIR or ENOTEMPTY unless `node` may take `old`'s name.
fn check_replace(node: &Node, old: &Node) -> Result<(), Errno> {
    match (node.is_directory(), old.is_directory()) {
        (true, false) => Err(Errno::ENOTDIR),
        (false, true) => Err(Errno::EISDIR),
        (true, true) if !old.directory()?.borrow().is_empty() => Err(Errno::ENOTEMPTY),
        _ => Ok(()),
    }
}

/// What losing its name does to `old`, which was in `directory`.
fn replace(directory: &Node, old: &Node) {
    if old.is_directory() {
        old.bury();
        directory.relink(-1);
    } else {
        old.relink(-1);
    }
}

/// Whether `directory` is `ancestor` or below it.
fn is_inside(directory: &Node, ancestor: &Rc<Node>) -> Result<bool, Errno> {
    let mut at = Some(directory.me()?);
    while let Some(node) = at {
        if Rc::ptr_eq(&node, ancestor) {
            return Ok(true);
        }
        at = node.parent.borrow().upgrade();
    }
    Ok(false)
}
