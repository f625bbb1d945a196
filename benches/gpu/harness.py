"""What benches of several contestants on one device share: figures, clocks, memory, and taking turns."""

import statistics
import time

import torch


class Harness:
    def __init__(self, device, rounds):
        self.device, self.rounds = torch.device(device), rounds
        self.figures, self.seconds, self.notes = [], {}, []

    def figure(self, name, value, unit):
        self.figures.append({"name": name, "value": value, "unit": unit})
        print(f"figure\t{name}\t{value:.6g}\t{unit}", flush=True)

    def wait(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def time(self, work, times=1):
        self.wait()
        started = time.perf_counter()
        for _ in range(times):
            work()
        self.wait()
        return (time.perf_counter() - started) / times

    def used_bytes(self):
        """Memory in use on the device, by whomever."""
        if self.device.type != "cuda":
            return 0
        free, total = torch.cuda.mem_get_info()
        return total - free

    def peak(self, name, work):
        """Does the work, and prints the most memory that PyTorch held meanwhile."""
        if self.device.type != "cuda":
            return work()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        work()
        self.figure(name, torch.cuda.max_memory_allocated() / 1e9, "GB")
        torch.cuda.empty_cache()

    def fastest(self, choices, prepare, work):
        """The choice with which the work takes least, of those that fit into memory; prepared for it once more."""
        tried = {}
        for choice in choices:
            prepare(choice)
            try:
                work()
                tried[choice] = self.time(work)
            except torch.OutOfMemoryError:
                torch.cuda.empty_cache()
        best = min(tried, key=tried.get)
        prepare(best)
        return best

    def take_turns(self, limits, works, contestants):
        """Seconds of every work by every contestant, and of every ceiling, round by round.

        `limits` holds by name what to run and how much it does; a work is a name and a function of the contestant
        that gives seconds. The order of contestants moves on, so that what else happens on the machine falls on all.
        """
        for work, *_ in limits.values():
            self.time(work, 3)
        for number in range(self.rounds):
            for name, (work, *_) in limits.items():
                self.seconds.setdefault(name, []).append(self.time(work, 10))
            start = number % len(contestants)
            for name, work in works.items():
                for contestant in contestants[start:] + contestants[:start]:
                    self.seconds.setdefault(f"{contestant.name}, {name}", []).append(work(contestant))
        for name, (_, amount, scale, unit) in limits.items():
            self.figure(name, amount / statistics.median(self.seconds[name]) / scale, unit)

    def rate(self, name, amount, unit="tokens/s"):
        """The median over the rounds, printed."""
        rate = amount / statistics.median(self.seconds[name])
        self.figure(name, rate, unit)
        return rate

    def largest_product(self):
        """Operations a second of the fastest product among the ceilings."""
        return 1e12 * max(it["value"] for it in self.figures if it["name"].startswith("product, "))

    def ratios(self, work, own, others):
        """How many times the others' time to the own, as the median of the rounds' ratios."""
        for other in others:
            pairs = zip(self.seconds[f"{other}, {work}"], self.seconds[f"{own}, {work}"], strict=True)
            self.figure(f"{own} over {other}, {work}", statistics.median(a / b for a, b in pairs), "times")

    def results(self, **about):
        device = torch.cuda.get_device_name() if self.device.type == "cuda" else "cpu"
        about = {"device": device, "rounds": self.rounds} | about
        return about | {"notes": self.notes, "figures": self.figures, "seconds": self.seconds}
