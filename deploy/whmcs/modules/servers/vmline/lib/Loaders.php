<?php

namespace WHMCS\Module\Server\Vmline;

/**
 * What an admin can choose from when a product is made. WHMCS shows the message of what is thrown.
 */
final class Loaders
{
    /** @return array<string,string> */
    public static function clusters(Gateway $gateway): array
    {
        return self::options(self::all($gateway), static function (array $cluster): array {
            $error = (string) ($cluster['error'] ?? '');
            return [(string) $cluster['name'] => $cluster['name'] . ($error === '' ? '' : " (cannot be reached: $error)")];
        });
    }

    /** @return array<string,string> */
    public static function templates(Gateway $gateway): array
    {
        return self::options(self::all($gateway), static function (array $cluster): array {
            $options = [];
            foreach ((array) ($cluster['templates'] ?? []) as $template) {
                $on = implode(', ', (array) ($template['nodes'] ?? []));
                $options[(string) $template['name']] = "{$template['name']} ({$cluster['name']}" . ($on === '' ? ')' : ": $on)");
            }
            return $options;
        });
    }

    /** @return array<string,string> the first says: where the template lies */
    public static function storages(Gateway $gateway): array
    {
        return ['' => 'as the template'] + self::options(self::all($gateway), static function (array $cluster): array {
            $options = [];
            foreach ((array) ($cluster['storages'] ?? []) as $storage) {
                $free = ((int) ($storage['total_bytes'] ?? 0) - (int) ($storage['used_bytes'] ?? 0)) / 2 ** 30;
                $where = !empty($storage['shared']) ? 'shared' : (string) ($storage['node'] ?? '');
                $options[(string) $storage['name']] = sprintf('%s (%s: %s, %.0f GB free)', $storage['name'], $cluster['name'], $where, $free);
            }
            return $options;
        });
    }

    /** @return array<string,string> bridges of the nodes, each with the address pools that lie on it */
    public static function bridges(Gateway $gateway): array
    {
        $pools = [];
        $answer = $gateway->get('/v1/pools', [], Gateway::LOOK);
        foreach ((array) ($answer['items'] ?? $answer) as $pool) {
            $pools[(string) ($pool['bridge'] ?? '')][] = (string) ($pool['name'] ?? '');
        }
        return self::options(self::all($gateway), static function (array $cluster) use ($pools): array {
            $options = [];
            foreach ((array) ($cluster['nodes'] ?? []) as $node) {
                foreach ((array) ($node['bridges'] ?? []) as $bridge) {
                    $names = implode(', ', $pools[$bridge] ?? []);
                    $options[(string) $bridge] = $bridge . ($names === '' ? ' (no address pool)' : " (pools: $names)");
                }
            }
            return $options;
        });
    }

    /** @return list<array<string,mixed>> */
    private static function all(Gateway $gateway): array
    {
        $answer = $gateway->get('/v1/clusters', [], Gateway::BUDGET);
        return array_values((array) ($answer['items'] ?? $answer));
    }

    /**
     * @param list<array<string,mixed>> $clusters
     * @param \Closure(array<string,mixed>):array<string,string> $of
     * @return array<string,string>
     */
    private static function options(array $clusters, \Closure $of): array
    {
        $options = [];
        foreach ($clusters as $cluster) {
            $options += $of($cluster);
        }
        if ($options === []) {
            throw new Failure('The gateway knows none yet. Look at its configuration and at the cluster.');
        }
        return $options;
    }
}
