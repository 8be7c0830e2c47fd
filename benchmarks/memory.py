"""Peak resident memory of a process and its children, by sampling."""

import threading

import psutil

SAMPLE_SECONDS = 0.2  # seldom enough not to slow down what it measures


class PeakMemory:
    """Use as a context manager; ``peak`` is in bytes, the sum over the process and its children."""

    def __init__(self, pid: int) -> None:
        self.process = psutil.Process(pid)
        self.peak = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._done.set()
        self._thread.join()

    def _sample(self) -> None:
        family: list[psutil.Process] = []
        rounds = 0
        while not self._done.wait(SAMPLE_SECONDS):
            if rounds % 10 == 0:  # finding the children means reading all of /proc
                family = [self.process, *self.process.children(recursive=True)]
            rounds += 1
            total = 0
            for process in family:
                try:
                    total += process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue  # a child that has just ended
            self.peak = max(self.peak, total)
