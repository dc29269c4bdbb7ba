<?php

namespace WHMCS\Module\Server\Vmline;

use Illuminate\Database\Schema\Blueprint;
use WHMCS\Database\Capsule;

/**
 * The module's own tables. A server module is not told of its installation, so they are made when first needed.
 */
final class Tables
{
    private static bool $there = false;

    public static function ensure(): void
    {
        if (self::$there) {
            return;
        }
        foreach (self::columns() as $table => $columns) {
            if (Capsule::schema()->hasTable($table)) {
                continue;
            }
            try {
                Capsule::schema()->create($table, $columns);
            } catch (\Throwable $e) {
                if (!Capsule::schema()->hasTable($table)) { // else another request was quicker
                    throw $e;
                }
            }
        }
        self::$there = true;
    }

    /** For tests, which change the database under this class. */
    public static function forget(): void
    {
        self::$there = false;
    }

    /** @return array<string,\Closure(Blueprint):void> */
    private static function columns(): array
    {
        return [
            'mod_vmline_meta' => static function (Blueprint $t): void {
                $t->string('name', 100)->primary();
                $t->text('value');
            },
            // What the gateway last said of a service, and what the module chose for it.
            'mod_vmline_services' => static function (Blueprint $t): void {
                $t->unsignedInteger('serviceid')->primary();
                $t->unsignedInteger('serverid');
                $t->string('ref', 64)->index();
                $t->unsignedBigInteger('seq')->default(0);
                $t->string('uid', 64)->default('');
                $t->string('name', 63)->default('');
                $t->string('username', 32)->default('');
                $t->string('template', 63)->default('');
                $t->string('domain', 255)->default('');
                $t->string('operation', 140)->default('');
                $t->string('operation_status', 20)->default('');
                $t->string('ordered', 140)->default(''); // the operation that WHMCS asked for last
                $t->string('ptr_name', 253)->default(''); // the customer's choice; empty: the machine's own name
                $t->text('addresses')->nullable();
                $t->text('options')->nullable();
                $t->mediumText('state')->nullable();
                $t->unsignedInteger('updated_at')->default(0);
            },
            // How far a gateway's events are applied, and who applies them now.
            'mod_vmline_feeds' => static function (Blueprint $t): void {
                $t->unsignedInteger('serverid')->primary();
                $t->unsignedBigInteger('cursor')->default(0);
                $t->string('holder', 32)->default('');
                $t->unsignedInteger('held_until')->default(0);
                $t->unsignedInteger('asked')->default(0); // how often another wanted to while it was held
            },
            // What is to be done once: a row is made with the change that asks for it.
            'mod_vmline_outbox' => static function (Blueprint $t): void {
                $t->increments('id');
                $t->string('once', 190)->unique();
                $t->string('kind', 20);
                $t->unsignedInteger('serviceid');
                $t->unsignedInteger('serverid');
                $t->text('payload');
                $t->string('status', 10)->default('due')->index();
                $t->unsignedInteger('attempts')->default(0);
                $t->unsignedInteger('due_at')->default(0);
            },
        ];
    }
}
