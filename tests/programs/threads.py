# python3: threads, asyncio, polling.
import asyncio, os, queue, select, signal, socket, threading
from concurrent.futures import ThreadPoolExecutor


def locks():
    total, lock = [0], threading.Lock()

    def add():
        for _ in range(500):
            with lock:
                total[0] += 1

    threads = [threading.Thread(target=add) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with ThreadPoolExecutor(8) as pool:
        print(total, sum(pool.map(lambda x: x * x, range(500))))
    condition = threading.Condition()
    with condition:
        print(threading.Event().wait(0.05), condition.wait(0.05))
    timer = threading.Timer(0.05, lambda: print('timer'))
    timer.start()
    timer.join()


def queues():
    small, out = queue.Queue(5), []

    def take():
        while (item := small.get()) is not None:
            out.append(item)

    thread = threading.Thread(target=take)
    thread.start()
    for i in range(300):
        small.put(i)
    small.put(None)
    thread.join()
    print(sum(out))


def polling():
    r, w = os.pipe()
    epoll, poll = select.epoll(), select.poll()
    epoll.register(r, select.EPOLLIN | select.EPOLLET)
    poll.register(r)
    print(epoll.poll(0), poll.poll(0))
    os.write(w, b'x')
    print([e for _, e in epoll.poll(1)], epoll.poll(0), [e for _, e in poll.poll(0)])
    os.close(w)
    print([e for _, e in epoll.poll(1)], [e for _, e in poll.poll(0)])


async def tasks():
    child = await asyncio.create_subprocess_exec('cat', stdin=-1, stdout=-1)
    print(await child.communicate(b'async'), child.returncode)
    print(await asyncio.gather(*[asyncio.sleep(0.01 * i, i) for i in range(5)]))
    try:
        await asyncio.wait_for(asyncio.sleep(5), 0.05)
    except asyncio.TimeoutError:
        print('timeout')
    a, b = socket.socketpair()
    _, writer = await asyncio.open_connection(sock=a)
    reader, other = await asyncio.open_connection(sock=b)
    writer.write(b'line\n')
    print(await reader.readline())
    writer.close()
    other.close()
    loop = asyncio.get_running_loop()
    seen = loop.create_future()
    loop.add_signal_handler(signal.SIGUSR1, seen.set_result, 1)
    os.kill(os.getpid(), signal.SIGUSR1)
    print(await seen, await asyncio.to_thread(abs, -6))
    children = [await asyncio.create_subprocess_shell(f'exit {i}') for i in range(5)]
    print([await child.wait() for child in children])


locks()
queues()
polling()
asyncio.run(tasks())
