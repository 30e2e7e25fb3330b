import { readFile } from "node:fs/promises";
import { z } from "zod";

/** Where the profile is kept, from the checkout. */
export const PROFILE = "deploy/seccomp.json";

const rule = z.strictObject({
  comment: z.string(),
  names: z.array(z.string()),
  action: z.enum(["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"]),
  errnoRet: z.number().optional(),
  args: z.array(z.strictObject({ index: z.number(), value: z.number(), valueTwo: z.number().optional(), op: z.string() })).optional(),
});
const profileSchema = z.strictObject({
  defaultAction: z.enum(["SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS"]),
  defaultErrnoRet: z.number().optional(),
  architectures: z.array(z.string()),
  syscalls: z.array(rule),
});

/** A profile as podman, docker and Kubernetes read it. */
type Profile = z.infer<typeof profileSchema>;

const EPERM = 1;
const ENOSYS = 38;

/** What happens to a call that the profile does not name: it is refused, as if it were not permitted. */
export const ERRNO = { defaultAction: "SCMP_ACT_ERRNO", defaultErrnoRet: EPERM } as const;

/** What is tried by libraries that do without it, and is not to be had: it must look as if the kernel had none. */
const ABSENT: readonly string[] = ["clone3", "io_uring_enter", "io_uring_register", "io_uring_setup"];

/** What depends on the machine or on the moment, and a trace may lack. */
const OCCASIONAL: readonly string[] = [
  // What does not return, and so is in no summary.
  "exit exit_group",
  // How glibc and V8 wait, yield, abort, and use what a processor has.
  "clock_nanosleep getcpu gettid membarrier nanosleep pkey_alloc pkey_free pkey_mprotect restart_syscall",
  "rseq rt_sigtimedwait sched_yield set_robust_list tgkill",
  // How files are copied, depending on the file system, and a full one is looked at.
  "copy_file_range fallocate fstatfs mremap sendfile statfs sync_file_range",
  // How one process ends another, and looks for one that ended.
  "kill waitid wait4",
  // How network names are looked up.
  "connect getpeername getsockname recvfrom recvmmsg sendmmsg sendto",
].flatMap((names) => names.split(" "));

/** Older calls, and what does the same where an architecture has never had them. */
const SAME: Readonly<Record<string, readonly string[]>> = {
  access: ["faccessat", "faccessat2"],
  chmod: ["fchmodat"],
  dup2: ["dup3"],
  epoll_wait: ["epoll_pwait", "epoll_pwait2"],
  fork: ["clone"],
  getdents64: ["getdents"],
  link: ["linkat"],
  lstat: ["newfstatat"],
  mkdir: ["mkdirat"],
  open: ["openat"],
  pipe: ["pipe2"],
  poll: ["ppoll"],
  readlink: ["readlinkat"],
  rename: ["renameat", "renameat2"],
  rmdir: ["unlinkat"],
  stat: ["newfstatat"],
  symlink: ["symlinkat"],
  unlink: ["unlinkat"],
  utime: ["utimensat"],
  vfork: ["clone"],
};

/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET: a thread or process, but no namespace. */
const NEW_NAMESPACES = 0x7e020000;
/** AF_UNIX, AF_INET, AF_INET6, and AF_NETLINK, by which glibc learns which addresses the machine has. */
const FAMILIES: readonly number[] = [1, 2, 10, 16];
const BY_ARGUMENT: ReadonlySet<string> = new Set(["clone", "socket"]);

/** The profile that allows these calls, as seen on any architecture, and what has the same effect. */
export function profileOf(calls: readonly string[], unnamed: Pick<Profile, "defaultAction" | "defaultErrnoRet">): Profile {
  const all = new Set([...calls, ...OCCASIONAL].flatMap((name) => [name, ...(SAME[name] ?? [])]));
  const names = [...all].filter((name) => !ABSENT.includes(name) && !BY_ARGUMENT.has(name)).toSorted();
  return {
    ...unnamed,
    architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
    syscalls: [
      { comment: "seen while the server did everything, or the same by another name", names, action: "SCMP_ACT_ALLOW" },
      {
        comment: "threads and processes, no namespaces",
        names: ["clone"],
        action: "SCMP_ACT_ALLOW",
        args: [{ index: 0, value: NEW_NAMESPACES, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ" }],
      },
      ...FAMILIES.map((family) => ({
        comment: "UNIX, IPv4, IPv6 and netlink",
        names: ["socket"],
        action: "SCMP_ACT_ALLOW" as const,
        args: [{ index: 0, value: family, op: "SCMP_CMP_EQ" }],
      })),
      {
        comment: "what libraries do without: clone3, whose flags a filter cannot see, and io_uring",
        names: [...ABSENT],
        action: "SCMP_ACT_ERRNO",
        errnoRet: ENOSYS,
      },
    ],
  };
}

/** The profile that is kept, but that whoever asks for anything else is killed: nothing of it then goes unnoticed. */
export async function deadlyProfile(): Promise<Profile> {
  const { architectures, syscalls } = profileSchema.parse(JSON.parse(await readFile(PROFILE, "utf8")));
  return { defaultAction: "SCMP_ACT_KILL_PROCESS", architectures, syscalls };
}
