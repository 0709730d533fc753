# python3: databases, mapped files, locks, folders.
import fcntl, mmap, os, pathlib, shutil, sqlite3


def database():
    one = sqlite3.connect('a.db')
    print(one.execute('pragma journal_mode=wal').fetchone())
    one.execute('create table t(a integer primary key, b)')
    with one:
        one.executemany('insert into t(b) values(?)', [(str(i),) for i in range(500)])
    other = sqlite3.connect('a.db')
    print(other.execute('select count(*), sum(a) from t').fetchone(), sorted(os.listdir('.')))
    if (pid := os.fork()) == 0:
        third = sqlite3.connect('a.db')
        with third:
            third.execute('insert into t(b) values(9)')
        third.close()
        os._exit(0)
    os.waitpid(pid, 0)
    print(one.execute('select count(*) from t').fetchone())
    one.execute('begin immediate')
    try:
        sqlite3.connect('a.db', timeout=0.1).execute('begin immediate')
    except sqlite3.OperationalError as error:
        print(error)
    one.commit()
    one.execute('vacuum')
    print(one.execute('pragma integrity_check').fetchone())
    one.close()
    other.close()
    print(sorted(os.listdir('.')))


def mapped():
    pathlib.Path('m').write_bytes(bytes(8192))
    with open('m', 'r+b') as file:
        memory = mmap.mmap(file.fileno(), 0)
        memory[4090:4100] = b'0123456789'
        memory.flush()
        print(pathlib.Path('m').read_bytes()[4090:4100])
        memory.resize(16384)
        print(len(memory), os.stat('m').st_size)
        memory.close()
    memory = mmap.mmap(-1, 4096)
    if (pid := os.fork()) == 0:
        memory[:5] = b'child'
        os._exit(0)
    os.waitpid(pid, 0)
    print(memory[:5])


def locks():
    fd = os.open('lock', os.O_CREAT | os.O_RDWR)
    fcntl.lockf(fd, fcntl.LOCK_EX)
    if (pid := os.fork()) == 0:
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os._exit(7)
        os._exit(1)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def folders():
    for i in range(30):
        pathlib.Path('d/' + '/'.join('ab' * (i % 5 + 1))).mkdir(parents=True, exist_ok=True)
        pathlib.Path(f'd/{i}-ü-日本').write_text('x' * i)
    print(len(list(os.walk('d'))), sum(e.stat().st_size for e in os.scandir('d') if e.is_file()))
    print(sorted(os.listdir('d'))[0])
    os.utime('m', ns=(1, 2**60))
    print(os.stat('m').st_mtime_ns)
    shutil.copytree('d', 'e')
    shutil.make_archive('z', 'gztar', 'e')
    shutil.unpack_archive('z.tar.gz', 'f')
    there, back = ({str(p.relative_to(top)) for p in pathlib.Path(top).rglob('*')} for top in 'ef')
    print(there == back, len(back))
    shutil.rmtree('d')
    print(sorted(os.listdir('.')))


database()
mapped()
locks()
folders()
