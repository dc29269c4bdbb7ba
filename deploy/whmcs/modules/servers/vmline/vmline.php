<?php

/**
 * vmline: KVM machines on Proxmox VE, ordered from WHMCS.
 *
 * WHMCS calls these functions by their names. What they do is in lib/.
 */

if (!defined('WHMCS')) {
    die('This file cannot be accessed directly');
}

require_once __DIR__ . '/lib/autoload.php';

use WHMCS\Module\Server\Vmline\Accounts;
use WHMCS\Module\Server\Vmline\AdminTab;
use WHMCS\Module\Server\Vmline\Buttons;
use WHMCS\Module\Server\Vmline\ClientArea;
use WHMCS\Module\Server\Vmline\Commands;
use WHMCS\Module\Server\Vmline\ConfigOptions;
use WHMCS\Module\Server\Vmline\Connection;
use WHMCS\Module\Server\Vmline\Customer;
use WHMCS\Module\Server\Vmline\Failure;
use WHMCS\Module\Server\Vmline\Gateway;
use WHMCS\Module\Server\Vmline\Loaders;
use WHMCS\Module\Server\Vmline\Log;
use WHMCS\Module\Server\Vmline\ReverseDns;
use WHMCS\Module\Server\Vmline\Server;

function vmline_MetaData(): array
{
    return [
        'DisplayName' => 'vmline (Proxmox VE)',
        'APIVersion' => '1.1',
        'RequiresServer' => true,
        'DefaultNonSSLPort' => (string) Server::PLAIN_PORT,
        'DefaultSSLPort' => (string) Server::SECURE_PORT,
        'ListAccountsUniqueIdentifierDisplayName' => 'Domain',
        'ListAccountsUniqueIdentifierField' => 'domain',
        'ListAccountsProductField' => 'configoption2',
    ];
}

function vmline_ConfigOptions(array $params = []): array
{
    return ConfigOptions::all();
}

function vmline_ClusterLoader(array $params): array
{
    return Loaders::clusters(Gateway::of($params));
}

function vmline_TemplateLoader(array $params): array
{
    return Loaders::templates(Gateway::of($params));
}

function vmline_StorageLoader(array $params): array
{
    return Loaders::storages(Gateway::of($params));
}

function vmline_BridgeLoader(array $params): array
{
    return Loaders::bridges(Gateway::of($params));
}

function vmline_CreateAccount(array $params): string
{
    return Commands::create($params);
}

function vmline_SuspendAccount(array $params): string
{
    return Commands::suspend($params);
}

function vmline_UnsuspendAccount(array $params): string
{
    return Commands::unsuspend($params);
}

function vmline_TerminateAccount(array $params): string
{
    return Commands::terminate($params);
}

function vmline_ChangePackage(array $params): string
{
    return Commands::changePackage($params);
}

function vmline_ChangePassword(array $params): string
{
    return Commands::changePassword($params);
}

/** A paid invoice changes nothing about a machine; WHMCS itself unsuspends where that is due. */
function vmline_Renew(array $params): string
{
    return Commands::DONE;
}

function vmline_TestConnection(array $params): array
{
    try {
        return Connection::test(Gateway::of($params), time());
    } catch (Failure $failure) {
        return ['success' => false, 'error' => $failure->getMessage()];
    }
}

function vmline_AdminCustomButtonArray(): array
{
    return Buttons::functions();
}

function vmline_AdminServicesTabFields(array $params): array
{
    return AdminTab::fields($params);
}

function vmline_AdminServicesTabFieldsSave(array $params): void
{
    AdminTab::save((int) $params['serviceid'], (int) ($params['serverid'] ?? 0), $_REQUEST);
}

function vmline_ClientArea(array $params): array
{
    return ClientArea::page($params);
}

function vmline_ClientAreaAllowedFunctions(): array
{
    return ['CustomerStart', 'CustomerStop', 'CustomerReboot', 'CustomerReinstall', 'CustomerReverseDns'];
}

function vmline_ListAccounts(array $params): array
{
    try {
        return Accounts::list(Gateway::of($params));
    } catch (Failure $failure) {
        return ['success' => false, 'error' => $failure->getMessage()];
    }
}

function vmline_UsageUpdate(array $params): void
{
    try {
        Accounts::usage((int) $params['serverid'], Gateway::of($params));
    } catch (Failure $failure) {
        Log::activity('the usage of server ' . (int) $params['serverid'] . ' could not be read: ' . $failure->getMessage());
    }
}

function vmline_CustomerStart(array $params): string
{
    return Customer::press($params, 'start', $_SERVER['REQUEST_METHOD'] ?? '', $_POST);
}

function vmline_CustomerStop(array $params): string
{
    return Customer::press($params, 'stop', $_SERVER['REQUEST_METHOD'] ?? '', $_POST);
}

function vmline_CustomerReboot(array $params): string
{
    return Customer::press($params, 'reboot', $_SERVER['REQUEST_METHOD'] ?? '', $_POST);
}

function vmline_CustomerReinstall(array $params): string
{
    return Customer::press($params, 'reinstall', $_SERVER['REQUEST_METHOD'] ?? '', $_POST);
}

function vmline_CustomerReverseDns(array $params): string
{
    return Customer::reverseDns($params, ReverseDns::real(), $_SERVER['REQUEST_METHOD'] ?? '', $_POST);
}

function vmline_Start(array $params): string
{
    return Commands::button($params, 'start');
}

function vmline_Stop(array $params): string
{
    return Commands::button($params, 'stop');
}

function vmline_Shutdown(array $params): string
{
    return Commands::button($params, 'shutdown');
}

function vmline_Reboot(array $params): string
{
    return Commands::button($params, 'reboot');
}

function vmline_Reset(array $params): string
{
    return Commands::button($params, 'reset');
}

function vmline_Reinstall(array $params): string
{
    return Commands::button($params, 'reinstall');
}

function vmline_SetDedicatedIp(array $params): string
{
    return Commands::button($params, 'set_dedicated_ip');
}

function vmline_Clone(array $params): string
{
    return Commands::button($params, 'clone');
}

function vmline_SetCpuRam(array $params): string
{
    return Commands::button($params, 'set_cpu_ram');
}

function vmline_SetSystemDiskSize(array $params): string
{
    return Commands::button($params, 'set_system_disk_size');
}

function vmline_SetSystemDiskBandwidth(array $params): string
{
    return Commands::button($params, 'set_system_disk_bandwidth');
}

function vmline_SetCreatedAdditionalDisk(array $params): string
{
    return Commands::button($params, 'set_created_additional_disk');
}

function vmline_SetAdditionalDiskSize(array $params): string
{
    return Commands::button($params, 'set_additional_disk_size');
}

function vmline_SetAdditionalDiskBandwidth(array $params): string
{
    return Commands::button($params, 'set_additional_disk_bandwidth');
}

function vmline_SetNetwork(array $params): string
{
    return Commands::button($params, 'set_network');
}

function vmline_SetFirewall(array $params): string
{
    return Commands::button($params, 'set_firewall');
}

function vmline_SetCloudinit(array $params): string
{
    return Commands::button($params, 'set_cloudinit');
}

function vmline_Remove(array $params): string
{
    return Commands::button($params, 'remove');
}

function vmline_SetDnsRecords(array $params): string
{
    return Commands::button($params, 'set_dns_records');
}

function vmline_Redeploy(array $params): string
{
    return Commands::button($params, 'redeploy');
}

function vmline_Retry(array $params): string
{
    return Commands::button($params, 'retry');
}

function vmline_Resume(array $params): string
{
    return Commands::button($params, 'resume');
}

function vmline_Cancel(array $params): string
{
    return Commands::button($params, 'cancel');
}

function vmline_ResetStatus(array $params): string
{
    return Commands::button($params, 'reset_status');
}

function vmline_Adopt(array $params): string
{
    return Commands::button($params, 'adopt');
}

function vmline_Migrate(array $params): string
{
    return Commands::button($params, 'migrate');
}
