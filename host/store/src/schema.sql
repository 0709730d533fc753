-- The store's metadata, version 1. Content (blobs, layers, upper files) is in files beside it.
-- Digests are text, `sha256:<hex>`; times are seconds since 1970.

-- An image: its id is the digest of its configuration blob.
CREATE TABLE image (
    id        TEXT PRIMARY KEY,
    manifest  TEXT NOT NULL,        -- digest of the manifest blob
    os        TEXT NOT NULL,
    arch      TEXT NOT NULL,
    variant   TEXT,
    created   INTEGER NOT NULL,     -- the configuration's `created`, 0 when it has none
    stored    INTEGER NOT NULL,     -- when it came into this store
    size      INTEGER NOT NULL      -- bytes of the uncompressed layers
) STRICT;
CREATE INDEX image_manifest ON image (manifest);

-- Its layers, lowest first. `blob` is what the manifest points to: the diffID itself, or the compressed blob that was pulled.
CREATE TABLE image_layer (
    image     TEXT NOT NULL REFERENCES image (id) ON DELETE CASCADE,
    position  INTEGER NOT NULL,
    diff_id   TEXT NOT NULL,
    blob      TEXT NOT NULL,
    PRIMARY KEY (image, position)
) STRICT, WITHOUT ROWID;

-- Names of images, in canonical form: `docker.io/library/python:latest`.
CREATE TABLE tag (
    name      TEXT PRIMARY KEY,
    image     TEXT NOT NULL REFERENCES image (id)
) STRICT, WITHOUT ROWID;
CREATE INDEX tag_image ON tag (image);

-- Containers. No foreign key to image: a forced removal leaves the containers, which keep their layers.
CREATE TABLE container (
    id          TEXT PRIMARY KEY,   -- 64 hexadecimal digits
    name        TEXT NOT NULL UNIQUE,
    image       TEXT NOT NULL,      -- image id
    image_name  TEXT NOT NULL,      -- as the user typed it
    command     TEXT NOT NULL,      -- JSON: the argument vector
    layers      TEXT NOT NULL,      -- JSON: diffIDs, lowest first
    config      TEXT NOT NULL,      -- JSON: whatever the engine keeps
    created     INTEGER NOT NULL,
    state       TEXT NOT NULL,      -- created, running, exited
    pid         INTEGER,            -- running
    exit_code   INTEGER,            -- exited
    started     INTEGER,
    finished    INTEGER
) STRICT;
CREATE INDEX container_image ON container (image);

-- Results of build steps.
CREATE TABLE build_cache (
    key       TEXT PRIMARY KEY,
    layer     TEXT,                 -- diffID; NULL when the step made none
    config    TEXT NOT NULL,        -- JSON: whatever the builder keeps
    created   INTEGER NOT NULL,
    used      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
