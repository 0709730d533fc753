//! Containers: names, states, folders.

mod common;

use common::{Home, tagged};
use shallop_store::{Container, ContainerState, NewContainer, Store, StoreError};

fn create(store: &Store, name: Option<&str>) -> Result<Container, StoreError> {
    let image = match store.resolve("app", None) {
        Ok(image) => image,
        Err(_) => {
            tagged(store, "app");
            store.resolve("app", None)?
        }
    };
    store.create_container(&NewContainer {
        name: name.map(str::to_owned),
        image: image.id,
        image_name: "app".to_owned(),
        command: vec!["sh".to_owned(), "-c".to_owned(), "true".to_owned()],
        layers: image.layers,
        config: serde_json::json!({ "tty": true }),
    })
}

#[test]
fn a_container_is_found_by_name_id_and_prefix() {
    let home = Home::new();
    let store = home.store();
    let made = create(&store, Some("web")).unwrap();
    assert_eq!((made.name.as_str(), made.state, made.id.len()), ("web", ContainerState::Created, 64));
    for name in ["web", &made.id, &made.id[..12]] {
        assert_eq!(home.store().container(name).unwrap(), made);
    }
    let error = store.container("none").unwrap_err().to_string();
    assert_eq!(error, "No such container: none");
    let upper = store.container_upper(&made.id);
    assert_eq!(std::fs::read(upper.journal).unwrap(), shallop_layer::upper::empty_journal());
    assert_eq!(std::fs::metadata(upper.data).unwrap().len(), 0);
}

#[test]
fn names_are_unique_in_dockers_words() {
    let home = Home::new();
    let store = home.store();
    let first = create(&store, Some("web")).unwrap();
    let error = create(&store, Some("web")).unwrap_err().to_string();
    let expected = format!(
        "Conflict. The container name \"/web\" is already in use by container \"{}\". \
         You have to remove (or rename) that container to be able to reuse that name.",
        first.id
    );
    assert_eq!(error, expected);
    assert!(matches!(create(&store, Some("a/b")), Err(StoreError::InvalidName(_))));
    assert_eq!(common::entries(&home.dirs.containers()), 1, "what failed left no folder");
    let other = create(&store, None).unwrap();
    assert!(matches!(store.rename_container(&other.id, "web"), Err(StoreError::NameInUse { .. })));
    store.rename_container(&first.id, "old").unwrap();
    store.rename_container(&other.id, "web").unwrap();
    assert_eq!(store.container("web").unwrap().id, other.id);
}

#[test]
fn running_means_that_the_lock_is_held() {
    let home = Home::new();
    let store = home.store();
    let id = create(&store, None).unwrap().id;
    let lock = store.lock_container(&id).unwrap();
    store.set_container_state(&id, ContainerState::Running { pid: 42 }).unwrap();
    let other = home.store();
    assert_eq!(other.container(&id).unwrap().state, ContainerState::Running { pid: 42 });
    assert!(matches!(other.lock_container(&id), Err(StoreError::Conflict(_))));
    let error = other.remove_container(&id).unwrap_err().to_string();
    assert!(error.contains("container is running"), "{error}");
    // The supervisor dies without a word.
    drop(lock);
    let dead = other.containers().unwrap().remove(0);
    assert_eq!(dead.state, ContainerState::Exited { code: 137 });
    assert!(dead.started.is_some() && dead.finished.is_some());
    other.remove_container(&id).unwrap();
    assert!(!store.container_dir(&id).exists());
    assert!(matches!(store.remove_container(&id), Err(StoreError::NoSuchContainer { .. })));
}

#[test]
fn hostile_ids_reach_no_folder() {
    let home = Home::new();
    let store = home.store();
    create(&store, None).unwrap();
    for id in ["..", "../..", "", "/"] {
        assert!(matches!(store.remove_container(id), Err(StoreError::NoSuchContainer { .. })), "{id}");
        assert!(matches!(store.lock_container(id), Err(StoreError::NoSuchContainer { .. })), "{id}");
    }
    assert!(!home.dirs.state.join("lock").exists());
}

#[test]
fn many_at_once_get_different_names() {
    let home = Home::new();
    create(&home.store(), None).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..5).for_each(|_| drop(create(&home.store(), None).unwrap())));
        }
    });
    let names: std::collections::HashSet<_> = home.store().containers().unwrap().into_iter().map(|c| c.name).collect();
    assert_eq!(names.len(), 21);
}
