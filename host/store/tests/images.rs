//! Images: stored, named, found and removed by Docker's rules.

mod common;

use common::{Home, put_image, put_layer, tagged};
use shallop_oci::{ImageConfig, Platform, Reference};
use shallop_store::{ContainerState, GcOptions, NewContainer, Store, StoreError};

fn reference(name: &str) -> Reference {
    Reference::parse_cli(name).unwrap()
}

fn container_of(store: &Store, image: shallop_store::ImageId) -> shallop_store::Container {
    let layers = store.image(&image).unwrap().layers;
    let new = NewContainer {
        name: None,
        image,
        image_name: "x".to_owned(),
        command: vec!["sh".to_owned()],
        layers,
        config: serde_json::json!({}),
    };
    store.create_container(&new).unwrap()
}

#[test]
fn an_image_comes_back_whole() {
    let home = Home::new();
    let store = home.store();
    let layers = [put_layer(&store, &[("a", b"1")]), put_layer(&store, &[("b", b"2")])];
    let id = put_image(&store, "app", &layers);
    store.tag(&reference("app:1"), &id).unwrap();
    store.tag(&reference("catalog/app"), &id).unwrap();
    let other = home.store();
    let image = other.resolve("app:1", Some(&Platform::default())).unwrap();
    assert_eq!((image.id, image.layers), (id, layers.map(|layer| layer.diff_id).to_vec()));
    assert_eq!((image.created, image.size), (1_704_164_645, layers.iter().map(|layer| layer.size).sum()));
    assert_eq!(image.config.config.labels["label"], "app");
    let tags: Vec<String> = image.tags.iter().map(Reference::familiar).collect();
    assert_eq!(tags, ["catalog.internal/app:latest", "app:1"]);
    let (digest, manifest) = other.manifest(&id).unwrap();
    assert_eq!((digest, manifest.config.digest, manifest.layers.len()), (image.manifest, id, 2));
    assert_eq!(other.images().unwrap().len(), 1);
}

#[test]
fn every_way_to_name_an_image() {
    let home = Home::new();
    let store = home.store();
    let (id, _) = tagged(&store, "user/app:v1");
    let manifest = store.image(&id).unwrap().manifest;
    let hex = id.hex();
    for name in [
        "user/app:v1".to_owned(),
        "docker.io/user/app:v1".to_owned(),
        format!("user/app@{manifest}"),
        format!("user/app:whatever@{manifest}"),
        id.to_string(),
        manifest.to_string(),
        hex.clone(),
        hex[..12].to_owned(),
        format!("sha256:{}", &hex[..7]),
    ] {
        assert_eq!(store.resolve(&name, None).unwrap().id, id, "{name}");
    }
    for (name, message) in [
        ("user/app", "No such image: user/app:latest"),
        ("nothing", "No such image: nothing:latest"),
        ("Bad", "invalid reference format: repository name (Bad) must be lowercase"),
        ("a b", "invalid reference format"),
    ] {
        assert_eq!(store.resolve(name, None).unwrap_err().to_string(), message);
    }
    assert!(store.resolve("nothing", None).unwrap_err().is_no_such_image());
}

#[test]
fn a_prefix_of_two_ids_is_ambiguous() {
    let home = Home::new();
    let store = home.store();
    let layer = put_layer(&store, &[("a", b"1")]);
    // Seventeen ids share at least one first digit.
    let ids: Vec<_> = (0..17).map(|i| put_image(&store, &i.to_string(), &[layer])).collect();
    let first = |i: usize| ids[i].hex()[..1].to_owned();
    let (_, shared) = (0..17)
        .flat_map(|a| (0..a).map(move |b| (a, b)))
        .map(|(a, b)| (first(a) == first(b), first(a)))
        .find(|(same, _)| *same)
        .unwrap();
    assert!(matches!(store.resolve(&shared, None), Err(StoreError::AmbiguousImage { .. })));
}

#[test]
fn the_platform_is_checked() {
    let home = Home::new();
    let store = home.store();
    let layer = put_layer(&store, &[("module.wasm", b"\0asm")]);
    let mut config = ImageConfig::new(&"wasip1/wasm".parse().unwrap());
    config.config.entrypoint = Some(vec!["/module.wasm".to_owned()]);
    let id = store.put_image(&config, &[layer], &[]).unwrap();
    store.tag(&reference("app"), &id).unwrap();
    assert!(store.resolve("app", Some(&Platform::wasi_wasm())).unwrap().platform.is_wasi());
    let error = store.resolve("app", Some(&Platform::default())).unwrap_err().to_string();
    assert!(error.contains("(linux/riscv64)") && error.contains("wasi/wasm"), "{error}");
}

#[test]
fn an_image_needs_its_layers() {
    let home = Home::new();
    let store = home.store();
    let mut layer = put_layer(&store, &[("a", b"1")]);
    layer.diff_id = shallop_oci::Digest::of(b"elsewhere");
    let error = store.put_image(&ImageConfig::new(&Platform::default()), &[layer], &[]).unwrap_err();
    assert!(matches!(error, StoreError::NoSuchLayer(_)));
    assert!(store.images().unwrap().is_empty());
    assert!(store.tag(&reference("x"), &layer.diff_id).unwrap_err().is_no_such_image());
}

#[test]
fn a_damaged_configuration_is_named() {
    let home = Home::new();
    let store = home.store();
    let (id, _) = tagged(&store, "app");
    std::fs::write(home.dirs.blobs().join(id.hex()), b"{}").unwrap();
    let error = store.resolve("app", None).unwrap_err().to_string();
    assert!(error.contains("damaged") && error.contains(&id.to_string()), "{error}");
}

#[test]
fn removal_by_name_untags_first_and_deletes_last() {
    let home = Home::new();
    let (id, layer) = tagged(&home.store(), "app:1");
    let store = home.store();
    store.tag(&reference("app:2"), &id).unwrap();
    let conflict = store.remove_image(&id.hex(), false).unwrap_err().to_string();
    assert!(conflict.ends_with("(must be forced) - image is referenced in multiple repositories"), "{conflict}");
    let removal = store.remove_image("app:1", false).unwrap();
    assert_eq!((removal.untagged, removal.deleted), (vec![reference("app:1")], vec![]));
    let removal = store.remove_image("app:2", false).unwrap();
    assert_eq!((removal.untagged, removal.deleted), (vec![reference("app:2")], vec![id, layer.diff_id]));
    assert!(!store.has_layer(&layer.diff_id) && !store.has_blob(&id));
    assert!(store.remove_image("app:2", false).unwrap_err().is_no_such_image());
}

#[test]
fn a_shared_layer_stays() {
    let home = Home::new();
    let (a, layer) = tagged(&home.store(), "a");
    put_image(&home.store(), "b", &[layer]);
    let store = home.store();
    assert_eq!(store.remove_image("a", true).unwrap().deleted, [a]);
    assert!(store.has_layer(&layer.diff_id));
}

#[test]
fn containers_hold_their_image() {
    let home = Home::new();
    let (id, layer) = tagged(&home.store(), "app");
    let store = home.store();
    let container = container_of(&store, id);
    let conflict = store.remove_image("app", false).unwrap_err().to_string();
    assert!(conflict.starts_with("conflict: unable to remove repository reference \"app\" (must force)"), "{conflict}");
    let lock = store.lock_container(&container.id).unwrap();
    store.set_container_state(&container.id, ContainerState::Running { pid: 1 }).unwrap();
    let conflict = store.remove_image("app", true).unwrap_err().to_string();
    assert!(conflict.contains("(cannot be forced) - image is being used by running container"), "{conflict}");
    store.set_container_state(&container.id, ContainerState::Exited { code: 0 }).unwrap();
    drop(lock);
    // Forced, the image goes, but the container can still start.
    assert_eq!(store.remove_image("app", true).unwrap().deleted, [id]);
    assert!(store.has_layer(&layer.diff_id) && store.has_blob(&id));
    store.remove_container(&container.id).unwrap();
    assert_eq!(store.gc(&GcOptions::default()).unwrap().layers, [layer.diff_id]);
}

#[test]
fn a_name_moves_and_leaves_the_old_image_dangling() {
    let home = Home::new();
    let store = home.store();
    let (old, _) = tagged(&store, "app");
    let new = put_image(&store, "newer", &[]);
    store.tag(&reference("app"), &new).unwrap();
    assert_eq!(store.resolve("app", None).unwrap().id, new);
    assert!(store.image(&old).unwrap().tags.is_empty());
    assert_eq!(store.untag(&reference("app:latest")).unwrap(), new);
    assert!(store.untag(&reference("app")).unwrap_err().is_no_such_image());
}
