<?php

namespace WHMCS\Module\Server\Vmline;

/**
 * The commands that have a button in the admin area beside those of WHMCS, in their order. Labels and marks are those
 * that admins know: `*` works on a running machine too, `**` only on a stopped one, `->` goes on with the creation.
 */
final class Buttons
{
    /** verb => [label, the values that it takes from the services tab] */
    private const TABLE = [
        'start' => ['Start', []],
        'stop' => ['Stop', []],
        'shutdown' => ['Shutdown', []],
        'reboot' => ['Reboot', []],
        'reset' => ['Reset', []],
        'reinstall' => ['Reinstall', ['template']],
        'set_dedicated_ip' => ['VMSetDedicatedIp ->', []],
        'clone' => ['VMClone ->', []],
        'set_cpu_ram' => ['**Set CPU RAM ->', []],
        'set_system_disk_size' => ['*Set System Disk Size ->', []],
        'set_system_disk_bandwidth' => ['*Set System Disk Bandwidth ->', []],
        'set_created_additional_disk' => ['*Set Created Additional Disk ->', []],
        'set_additional_disk_size' => ['*Set Additional Disk Size ->', []],
        'set_additional_disk_bandwidth' => ['*Set Additional Disk Bandwidth ->', []],
        'set_network' => ['*Set Network ->', []],
        'set_firewall' => ['*Set Firewall ->', []],
        'set_cloudinit' => ['**SetCloudinit ->', []],
        'remove' => ['**VMRemove', []],
        'set_dns_records' => ['Set DNS records', []],
        'redeploy' => ['Redeploy', []],
        'retry' => ['Retry', []],
        'resume' => ['Resume', ['status']],
        'cancel' => ['Cancel', ['reason']],
        'reset_status' => ['Reset status', ['status', 'reason']],
        'adopt' => ['Adopt', ['vmid']],
        'migrate' => ['Migrate', ['node']],
    ];

    /** What a customer may press. */
    public const CUSTOMERS = ['start', 'stop', 'reboot', 'reinstall'];

    /** @return array<string,string> label => the function behind vmline_ */
    public static function functions(): array
    {
        $functions = [];
        foreach (self::TABLE as $verb => [$label]) {
            $functions[$label] = self::function($verb);
        }
        return $functions;
    }

    /** set_cpu_ram is vmline_SetCpuRam. */
    public static function function(string $verb): string
    {
        return str_replace('_', '', ucwords($verb, '_'));
    }

    /** @return list<string> */
    public static function verbs(): array
    {
        return array_keys(self::TABLE);
    }

    public static function label(string $verb): string
    {
        return self::TABLE[$verb][0];
    }

    /** @return list<string> */
    public static function options(string $verb): array
    {
        return self::TABLE[$verb][1];
    }
}
