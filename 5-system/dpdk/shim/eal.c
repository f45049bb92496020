/* The environment abstraction layer: start, end, log, threads. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_version.h>

#include "shim.h"

typedef void (*sink_fn)(uint32_t, const char *, size_t);

static sink_fn sink;

static ssize_t take(void *cookie, const char *text, size_t length)
{
	(void)cookie;
	int level = rte_log_cur_msg_loglevel();

	sink(level < 0 ? RTE_LOG_INFO : (uint32_t)level, text, length);
	return (ssize_t)length;
}

const char *pc_version(void)
{
	return rte_version();
}

const char *pc_words(int error)
{
	return rte_strerror(error);
}

int pc_log_to(sink_fn to)
{
	cookie_io_functions_t functions = { .write = take };
	FILE *stream;

	sink = to;
	stream = fopencookie(NULL, "w", functions);
	if (!stream)
		return -errno;
	setvbuf(stream, NULL, _IOLBF, 512);
	return rte_openlog_stream(stream);
}

int pc_start(int count, char **arguments)
{
	int used = rte_eal_init(count, arguments);

	/* It makes a folder for what processes share, which is nothing here. */
	unlinkat(AT_FDCWD, rte_eal_get_runtime_dir(), AT_REMOVEDIR);
	if (used >= 0)
		return used;
	return rte_errno ? -rte_errno : -EINVAL;
}

int pc_thread_register(void)
{
	if (rte_thread_register() == 0)
		return 0;
	return rte_errno ? -rte_errno : -EINVAL;
}

void pc_thread_unregister(void)
{
	rte_thread_unregister();
}

uint32_t pc_lcore(void)
{
	return rte_lcore_id();
}

int32_t pc_numa_node(void)
{
	return (int32_t)rte_socket_id();
}
