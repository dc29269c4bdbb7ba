<?php

/**
 * A stand-in for WHMCS: its database layer, which is Laravel's, on SQLite; its tables as far as the module uses them;
 * its functions, which note what they are called with in the tables stand_in_*, so that other processes see it too.
 *
 * VMLINE_TEST_DB names the database file. In its place VMLINE_TEST_MYSQL names the socket of a MySQL or MariaDB server,
 * where the database VMLINE_TEST_MYSQL_DB (whmcs) is emptied.
 */

use Illuminate\Database\Capsule\Manager;
use Illuminate\Database\Schema\Blueprint;

error_reporting(E_ALL & ~E_DEPRECATED); // Debian's Laravel is older than its PHP
foreach (['Illuminate/Database/autoload.php', 'Illuminate/Events/autoload.php'] as $file) {
    require_once $file;
}

define('WHMCS', true);
class_alias(Manager::class, 'WHMCS\Database\Capsule');
require_once __DIR__ . '/functions.php';

(static function (): void {
    $socket = (string) getenv('VMLINE_TEST_MYSQL');
    $capsule = new Manager();
    $capsule->addConnection($socket === '' ? [
        'driver' => 'sqlite', 'database' => getenv('VMLINE_TEST_DB') ?: ':memory:', 'prefix' => '',
    ] : [
        'driver' => 'mysql', 'unix_socket' => $socket, 'host' => '', 'username' => 'root', 'password' => '', 'prefix' => '',
        'database' => getenv('VMLINE_TEST_MYSQL_DB') ?: 'whmcs',
        'charset' => 'utf8mb4', 'collation' => 'utf8mb4_unicode_ci', 'strict' => true,
    ]);
    $capsule->setAsGlobal();
    if ($socket === '') {
        $capsule->getConnection()->getPdo()->exec('PRAGMA busy_timeout = 10000; PRAGMA synchronous = OFF');
    }
    if (!Manager::schema()->hasTable('tblhosting')) {
        stand_in_tables();
    }
})();

function stand_in_tables(): void
{
    $schema = Manager::schema();
    foreach (require __DIR__ . '/tables.php' as $table => $columns) {
        $schema->create($table, static function (Blueprint $t) use ($columns): void {
            $t->increments('id');
            foreach ($columns as $column) {
                $column === 'arguments' ? $t->mediumText($column) : $t->string($column, 255)->default('');
            }
        });
    }
}
