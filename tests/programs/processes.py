# python3: subprocess, multiprocessing, signals, pseudo terminals.
import multiprocessing as mp, os, pty, signal, subprocess
from multiprocessing import shared_memory


def square(x):
    return x * x


def put(queue, n):
    queue.put(n * 2)


def count(value, lock):
    for _ in range(100):
        with lock:
            value.value += 1


def children():
    print([subprocess.run(['sh', '-c', f'exit {i}']).returncode for i in range(10)])
    try:
        subprocess.run(['sleep', '5'], timeout=0.2)
    except subprocess.TimeoutExpired:
        print('timeout')
    print(subprocess.check_output('echo $((1+1)) | cat', shell=True))
    print(subprocess.run(['cat'], input=b'x' * 1000000, capture_output=True).stdout.count(b'x'))
    print(subprocess.run(['pwd'], cwd='/usr', capture_output=True).stdout)
    print(subprocess.run(['/usr/bin/env'], env={'A': '1'}, capture_output=True).stdout)
    print(subprocess.run(['umask'], shell=True, preexec_fn=lambda: os.umask(0o77), capture_output=True).stdout)
    print(subprocess.Popen(['sh', '-c', 'kill -9 $$']).wait())
    many = [subprocess.Popen(['sleep', '0.2'], start_new_session=True) for _ in range(20)]
    print([p.wait() for p in many].count(0))


def several(method):
    context = mp.get_context(method)
    with context.Pool(2) as pool:
        print(method, sum(pool.map(square, range(100))), pool.apply_async(square, (7,)).get(60))
    queue = context.Queue()
    workers = [context.Process(target=put, args=(queue, i)) for i in range(3)]
    for worker in workers:
        worker.start()
    print(sorted(queue.get(timeout=60) for _ in workers))
    for worker in workers:
        worker.join()
    value, lock = context.Value('i', 0, lock=False), context.Lock()
    workers = [context.Process(target=count, args=(value, lock)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print(value.value, [worker.exitcode for worker in workers])


def shared():
    one = shared_memory.SharedMemory(create=True, size=4096)
    one.buf[:5] = b'hello'
    other = shared_memory.SharedMemory(one.name)
    print(bytes(other.buf[:5]))
    other.close()
    one.close()
    one.unlink()
    semaphore = mp.Semaphore(1)
    print(semaphore.acquire(), semaphore.acquire(timeout=0.05))


def signals():
    signal.signal(signal.SIGALRM, lambda *_: print('alarm'))
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    signal.pause()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    os.kill(os.getpid(), signal.SIGUSR2)
    print(signal.sigpending(), signal.sigwait([signal.SIGUSR2]))
    print(signal.sigtimedwait([signal.SIGUSR2], 0.01))


def terminal():
    pid, fd = pty.fork()
    if pid == 0:
        os.execvp('sh', ['sh', '-c', 'test -t 0 && echo terminal; read x; echo got $x; kill -INT $$'])
    os.write(fd, b'hi\n')
    got = b''
    try:
        while part := os.read(fd, 1000):
            got += part
    except OSError as error:
        print(error.errno)
    print(sorted(got.split()), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


if __name__ == '__main__':
    children()
    for method in ('fork', 'spawn'):
        several(method)
    shared()
    signals()
    terminal()
