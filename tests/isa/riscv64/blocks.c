/*
 * Executes blocks of riscv64 instructions on an emulator that is known to be right.
 *
 * Reads records from stdin; each holds a block and the whole state before it. Writes each back with the state after it.
 * A block ends with a signal: it jumps to a c.ebreak, or an instruction of it fails. The signal's handler takes the
 * state from its ucontext, reads the next record, puts that state in its place and returns into it.
 *
 * Build: as oracle.c, beside this file.
 */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

enum { CODE_BYTES = 1024, DATA_BYTES = 8192 };

/* One record, the same on stdin and stdout. Little-endian, without gaps. */
struct record {
	u64 x[32];
	u64 f[32];
	u64 pc;			/* out */
	u32 fcsr;
	u32 signal;		/* out: SIGTRAP at the end of the block, else SIGILL, SIGSEGV, SIGBUS */
	u8 code[CODE_BYTES];
	u8 data[DATA_BYTES];
};

/* struct rt_sigframe's ucontext, arch/riscv/include/uapi/asm/ucontext.h */
struct context {
	u64 flags, link;
	u64 stack[3];
	u8 mask[128];
	u8 padding[8];
	u64 pc;
	u64 x[31];
	u64 f[32];
	u32 fcsr;
};

struct action {
	void (*handler)(int, void *, struct context *);
	u64 flags;
	u64 mask;
};

struct stack {
	void *sp;
	int flags;
	u64 size;
};

enum {
	SYS_read = 63, SYS_write = 64, SYS_exit = 93, SYS_sigaltstack = 132, SYS_rt_sigaction = 134, SYS_mmap = 222,
	SIGILL = 4, SIGTRAP = 5, SIGBUS = 7, SIGSEGV = 11,
	SA_SIGINFO = 4, SA_ONSTACK = 0x08000000,
	PROT_ALL = 7, MAP_PRIVATE_ANONYMOUS_FIXED = 0x32,
};

#define CODE		0x100000ul
#define DATA		0x200000ul
#define STOP		0xf00000ul	/* where a block that ends well goes */
#define HANDLER_STACK	0x35a5a00000ul
#define STACK_LENGTH	0x10000ul

static struct record record;
static int started;

static long call(long number, long a, long b, long c, long d, long e, long f)
{
	register long a0 asm("a0") = a;
	register long a1 asm("a1") = b;
	register long a2 asm("a2") = c;
	register long a3 asm("a3") = d;
	register long a4 asm("a4") = e;
	register long a5 asm("a5") = f;
	register long a7 asm("a7") = number;

	asm volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5), "r"(a7) : "memory");
	return a0;
}

static void leave(int code)
{
	for (;;)
		call(SYS_exit, code, 0, 0, 0, 0, 0);
}

/* The whole record, or the end of the program. */
static void transfer(long number, int descriptor)
{
	u64 done = 0;

	while (done < sizeof record) {
		long count = call(number, descriptor, (long)&record + done, sizeof record - done, 0, 0, 0);

		if (count <= 0)
			leave(count == 0 && done == 0 ? 0 : 1);
		done += count;
	}
}

static void copy(u64 to, u64 from, u64 count)
{
	volatile u64 *target = (volatile u64 *)to;
	volatile u64 *source = (volatile u64 *)from;
	u64 i;

	for (i = 0; i < count / 8; i++)
		target[i] = source[i];
}

static void take_state(int signal, struct context *context)
{
	int i;

	record.x[0] = 0;
	for (i = 1; i < 32; i++)
		record.x[i] = context->x[i - 1];
	for (i = 0; i < 32; i++)
		record.f[i] = context->f[i];
	copy((u64)record.data, DATA, DATA_BYTES);
	record.fcsr = context->fcsr;
	record.signal = signal;
	record.pc = context->pc;
}

static void give_state(struct context *context)
{
	int i;

	copy(CODE, (u64)record.code, CODE_BYTES);
	asm volatile("fence.i" ::: "memory");
	copy(DATA, (u64)record.data, DATA_BYTES);
	for (i = 1; i < 32; i++)
		context->x[i - 1] = record.x[i];
	for (i = 0; i < 32; i++)
		context->f[i] = record.f[i];
	context->fcsr = record.fcsr;
	context->pc = CODE;
}

static void handle(int signal, void *info, struct context *context)
{
	(void)info;
	if (started) {
		take_state(signal, context);
		transfer(SYS_write, 1);
	}
	started = 1;
	transfer(SYS_read, 0);
	give_state(context);
}

static void map(u64 address, u64 length)
{
	if (call(SYS_mmap, address, length, PROT_ALL, MAP_PRIVATE_ANONYMOUS_FIXED, -1, 0) != (long)address)
		leave(2);
}

void _start(void)
{
	static const int signals[] = { SIGILL, SIGTRAP, SIGBUS, SIGSEGV };
	struct stack stack = { (void *)HANDLER_STACK, 0, STACK_LENGTH };
	struct action action = { handle, SA_SIGINFO | SA_ONSTACK, 0 };
	u64 i;

	map(CODE, 0x1000);
	map(DATA, DATA_BYTES);
	map(STOP, 0x1000);
	map(HANDLER_STACK, STACK_LENGTH);
	*(volatile u16 *)STOP = 0x9002;
	if (call(SYS_sigaltstack, (long)&stack, 0, 0, 0, 0, 0) != 0)
		leave(3);
	for (i = 0; i < sizeof signals / sizeof signals[0]; i++)
		if (call(SYS_rt_sigaction, signals[i], (long)&action, 0, 8, 0, 0) != 0)
			leave(4);
	asm volatile("ebreak");
	leave(5);
}
