<?php

namespace WHMCS\Module\Server\Vmline;

/**
 * The buttons of the admin area, in their order. The labels are those that admins know:
 * `*` works on a running machine too, `**` only on a stopped one, `->` goes on with the creation.
 */
final class Buttons
{
    private const WITH_PACKAGE = true;

    /** verb => [label, the options that it takes, whether the package goes with it] */
    private const TABLE = [
        'start' => ['Start', []],
        'stop' => ['Stop', []],
        'shutdown' => ['Shutdown', []],
        'reboot' => ['Reboot', []],
        'reset' => ['Reset', []],
        'reinstall' => ['**Reinstall', ['template'], self::WITH_PACKAGE],
        'set_dedicated_ip' => ['VMSetDedicatedIp ->', [], self::WITH_PACKAGE],
        'clone' => ['VMClone ->', [], self::WITH_PACKAGE],
        'set_cpu_ram' => ['**Set CPU RAM ->', [], self::WITH_PACKAGE],
        'set_system_disk_size' => ['*Set System Disk Size ->', [], self::WITH_PACKAGE],
        'set_system_disk_bandwidth' => ['*Set System Disk Bandwidth ->', [], self::WITH_PACKAGE],
        'set_created_additional_disk' => ['*Set Created Additional Disk ->', [], self::WITH_PACKAGE],
        'set_additional_disk_size' => ['*Set Additional Disk Size ->', [], self::WITH_PACKAGE],
        'set_additional_disk_bandwidth' => ['*Set Additional Disk Bandwidth ->', [], self::WITH_PACKAGE],
        'set_network' => ['*Set Network ->', [], self::WITH_PACKAGE],
        'set_firewall' => ['*Set Firewall ->', [], self::WITH_PACKAGE],
        'set_cloudinit' => ['**SetCloudinit', [], self::WITH_PACKAGE],
        'remove' => ['**VMRemove', []],
        'set_dns_records' => ['Set DNS records', [], self::WITH_PACKAGE],
        'redeploy' => ['Redeploy', [], self::WITH_PACKAGE],
        'retry' => ['Retry step', []],
        'resume' => ['Resume', []],
        'cancel' => ['Cancel', []],
        'reset_status' => ['Reset status', ['status', 'reason']],
        'adopt' => ['Set new VM id', ['vmid'], self::WITH_PACKAGE],
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

    /** Whether the command works by what the package says. */
    public static function takesPackage(string $verb): bool
    {
        return self::TABLE[$verb][2] ?? false;
    }

    /** @return list<string> */
    public static function options(string $verb): array
    {
        return self::TABLE[$verb][1];
    }
}
