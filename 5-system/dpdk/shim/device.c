/* Ethernet devices: found, configured, started, watched, stopped. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_devargs.h>
#include <rte_errno.h>
#include <rte_ethdev.h>

#include "shim.h"

_Static_assert(sizeof(struct rte_ether_addr) == 6, "an address has six bytes");

static int outcome(int result)
{
	return result > 0 ? -result : result;
}

/* The first port of a device. The arguments after its name are no part of that: what they are called may be a filter here. */
static int first_port(const char *devargs)
{
	struct rte_dev_iterator iterator;
	char name[RTE_DEV_NAME_MAX_LEN];
	size_t length = strcspn(devargs, ",");
	uint16_t port;
	int found = -ENODEV;

	if (length >= sizeof(name))
		return -EINVAL;
	memcpy(name, devargs, length);
	name[length] = '\0';
	RTE_ETH_FOREACH_MATCHING_DEV(port, name, &iterator) {
		if (found < 0)
			found = port;
	}
	return found;
}

static void remove_device(const char *devargs)
{
	struct rte_devargs parsed;

	memset(&parsed, 0, sizeof(parsed));
	if (!rte_devargs_parse(&parsed, devargs))
		rte_eal_hotplug_remove(rte_bus_name(parsed.bus), parsed.name);
	free(parsed.data);
}

int pc_probe(const char *devargs)
{
	int port, error = rte_dev_probe(devargs);

	if (error)
		return outcome(error);
	port = first_port(devargs);
	/* It is no network device. */
	if (port < 0)
		remove_device(devargs);
	return port;
}

static int is_virtual(const struct rte_eth_dev_info *info)
{
	return info->device && !strcmp(rte_bus_name(rte_dev_bus(info->device)), "vdev");
}

int pc_look(uint16_t port, struct pc_device *device)
{
	struct rte_eth_dev_info info;
	int error = rte_eth_dev_info_get(port, &info);

	if (error)
		return error;
	memset(device, 0, sizeof(*device));
	strncpy(device->driver, info.driver_name, sizeof(device->driver) - 1);
	error = pc_device_mac(port, device->mac);
	if (error)
		return error;
	device->max_rx_queues = info.max_rx_queues;
	device->max_tx_queues = info.max_tx_queues;
	device->min_mtu = info.min_mtu;
	device->max_mtu = info.max_mtu;
	/* Some name the longest frame, and no MTU. */
	if (info.max_rx_pktlen > RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN &&
	    info.max_rx_pktlen - RTE_ETHER_HDR_LEN - RTE_ETHER_CRC_LEN < device->max_mtu)
		device->max_mtu = info.max_rx_pktlen - RTE_ETHER_HDR_LEN - RTE_ETHER_CRC_LEN;
	device->numa_node = rte_eth_dev_socket_id(port);
	device->rss_functions = info.flow_type_rss_offloads;
	const uint64_t checksums = RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
	if ((info.tx_offload_capa & checksums) == checksums)
		device->offloads |= PC_OFFLOAD_TX_IPV4_L4;
	if (info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_IPV4_CKSUM)
		device->offloads |= PC_OFFLOAD_RX_IPV4;
	if (is_virtual(&info))
		device->offloads |= PC_COPIED_BY_CPU;
	return 0;
}

int pc_configure(uint16_t port, const struct pc_setup *setup, void *pool)
{
	struct rte_eth_conf conf;
	struct rte_eth_dev_info info;
	uint16_t rx = setup->rx_descriptors, tx = setup->tx_descriptors;
	int error = rte_eth_dev_info_get(port, &info);

	if (error)
		return outcome(error);
	memset(&conf, 0, sizeof(conf));
	conf.rxmode.mtu = setup->mtu;
	/* Else net_e1000 takes the further buffers of a frame that fills several for frames of their own, and what a sender puts
	 * into a packet for headers. */
	if (!is_virtual(&info))
		conf.rxmode.offloads |= info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER;
	if (setup->offloads & PC_OFFLOAD_TX_IPV4_L4)
		conf.txmode.offloads |= RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
	if (setup->offloads & PC_OFFLOAD_RX_IPV4)
		conf.rxmode.offloads |= RTE_ETH_RX_OFFLOAD_IPV4_CKSUM;
	if (setup->rx_queues > 1 && setup->rss_functions) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf = setup->rss_functions;
	}
	error = rte_eth_dev_configure(port, setup->rx_queues, setup->tx_queues, &conf);
	if (error)
		return outcome(error);
	error = rte_eth_dev_adjust_nb_rx_tx_desc(port, &rx, &tx);
	if (error)
		return outcome(error);
	for (uint16_t queue = 0; queue < setup->rx_queues; queue++) {
		error = rte_eth_rx_queue_setup(port, queue, rx, rte_eth_dev_socket_id(port), NULL,
					       pool);
		if (error)
			return outcome(error);
	}
	for (uint16_t queue = 0; queue < setup->tx_queues; queue++) {
		error = rte_eth_tx_queue_setup(port, queue, tx, rte_eth_dev_socket_id(port), NULL);
		if (error)
			return outcome(error);
	}
	return 0;
}

int pc_device_start(uint16_t port)
{
	return outcome(rte_eth_dev_start(port));
}

int pc_device_stop(uint16_t port)
{
	return outcome(rte_eth_dev_stop(port));
}

int pc_device_close(uint16_t port)
{
	struct rte_eth_dev_info info;
	int error = rte_eth_dev_info_get(port, &info);
	int closed = outcome(rte_eth_dev_close(port));

	/* Refused: it is in use, and must not be taken from under who uses it. */
	if (closed && rte_eth_dev_is_valid_port(port))
		return closed;
	/* The device itself goes with its last port; what is gone already is no failure. */
	if (!error && info.device) {
		int removed = rte_dev_remove(info.device);

		if (!closed && removed && removed != -ENODEV)
			closed = outcome(removed);
	}
	return closed;
}

int pc_device_link(uint16_t port, struct pc_link *link)
{
	struct rte_eth_link now;
	int error;

	memset(&now, 0, sizeof(now));
	error = rte_eth_link_get_nowait(port, &now);
	link->up = now.link_status == RTE_ETH_LINK_UP;
	link->megabits = now.link_speed;
	return outcome(error);
}

int pc_device_statistics(uint16_t port, struct pc_statistics *statistics)
{
	struct rte_eth_stats stats;
	int error = rte_eth_stats_get(port, &stats);

	if (error)
		return outcome(error);
	statistics->missed = stats.imissed;
	statistics->rx_errors = stats.ierrors;
	statistics->no_buffer = stats.rx_nombuf;
	statistics->tx_errors = stats.oerrors;
	return 0;
}

int pc_device_mac(uint16_t port, uint8_t *mac)
{
	struct rte_ether_addr address;
	int error = rte_eth_macaddr_get(port, &address);

	if (!error)
		memcpy(mac, address.addr_bytes, sizeof(address));
	return outcome(error);
}

int pc_device_set_mac(uint16_t port, const uint8_t *mac)
{
	struct rte_ether_addr address;

	memcpy(address.addr_bytes, mac, sizeof(address));
	return outcome(rte_eth_dev_default_mac_addr_set(port, &address));
}

int pc_device_mtu(uint16_t port)
{
	uint16_t mtu;
	int error = rte_eth_dev_get_mtu(port, &mtu);

	return error ? outcome(error) : mtu;
}

int pc_device_set_mtu(uint16_t port, uint16_t mtu)
{
	return outcome(rte_eth_dev_set_mtu(port, mtu));
}

int pc_device_set_promiscuous(uint16_t port, int on)
{
	return outcome(on ? rte_eth_promiscuous_enable(port) : rte_eth_promiscuous_disable(port));
}

int pc_device_set_all_multicast(uint16_t port, int on)
{
	return outcome(on ? rte_eth_allmulticast_enable(port) : rte_eth_allmulticast_disable(port));
}

int pc_device_set_up(uint16_t port, int up)
{
	return outcome(up ? rte_eth_dev_set_link_up(port) : rte_eth_dev_set_link_down(port));
}

int pc_device_is_gone(uint16_t port)
{
	return !rte_eth_dev_is_valid_port(port) || rte_eth_dev_is_removed(port);
}
